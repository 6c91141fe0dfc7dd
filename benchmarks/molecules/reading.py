"""Time and memory of examining a million lines of CSV, and of reading them again from the cache.

    python -m benchmarks.molecules.reading --lines 1000000 --workers 2

The lines have an identifier, a SMILES and a score. The SMILES are those of ZINC250k, with chains of
up to three carbons before them, so that most are different molecules; one in twenty lines repeats
an earlier one with another score. Memory is that of this process and its workers together, shared
pages counted once (PSS), measured twice a second. It needs the extras zinc and test (psutil).
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from wrlso.chem.zinc import ZINC_NAME, find_zinc

OUT = Path(__file__).parents[1] / "results" / "molecule_reading.md"


def write_table(path: Path, lines: int) -> None:
    smiles = find_zinc(ZINC_NAME)
    rng = np.random.default_rng(0)
    scores = rng.normal(size=lines)
    repeats = rng.random(lines) < 0.05
    source = np.where(repeats, rng.integers(np.maximum(np.arange(lines), 1)), np.arange(lines))
    with path.open("w") as file:
        file.write("id,smiles,score\n")
        for i, j in enumerate(source.tolist()):
            chain, number = divmod(j, len(smiles))
            file.write(f"M{i},{'C' * chain}{smiles[number]},{scores[i]:.4f}\n")


def memory_of(process: psutil.Process) -> int:
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def measure(path: Path, workers: int, cache: Path) -> dict:
    """Read the table in a new process."""
    started = time.monotonic()
    command = [sys.executable, "-m", __spec__.name, "--read", str(path), "--workers", str(workers)]
    environment = os.environ | {"WRLSO_CACHE": str(cache)}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    peak, done = [0], threading.Event()

    def watch() -> None:
        process = psutil.Process(child.pid)
        while not done.wait(0.5):
            peak[0] = max(peak[0], memory_of(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output, _ = child.communicate()
    done.set()
    watcher.join()
    assert child.returncode == 0
    seconds = time.monotonic() - started
    return {**json.loads(output.splitlines()[-1]), "process": seconds, "memory": peak[0] / 1e9}


def cpu_seconds() -> float:
    """The seconds of this process and of the workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def read(path: Path, workers: int) -> None:
    from wrlso.chem.load import load_molecules
    from wrlso.storage.cache import cache_dir
    from wrlso.tasks.molecule.model import load_model
    from wrlso.tasks.molecule.task import SHIPPED

    model = load_model(SHIPPED)
    started, before = time.monotonic(), cpu_seconds()
    loaded = load_molecules(
        path,
        score_column="score",
        vocabulary=model.vocabulary,
        max_symbols=model.length,
        max_heavy_atoms=38,
        workers=workers,
        directory=cache_dir() / "molecules",
    )
    counts = {
        "lines": loaded.findings.account.lines,
        "molecules": len(loaded.smiles),
        "duplicates": len(loaded.duplicates),
        "rejected": len(loaded.rejected),
        "seconds": time.monotonic() - started,
        "cpu": cpu_seconds() - before,
    }
    print(json.dumps(counts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    if options.read:
        read(options.read, options.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "table.csv", Path(folder) / "cache"
        write_table(path, options.lines)
        size = path.stat().st_size / 1e6
        first, again = (measure(path, options.workers, cache) for _ in range(2))
    rows = [
        f"| {name} | {one['seconds']:.1f} | {one['cpu']:.1f} | {one['process']:.1f} | "
        f"{one['memory']:.2f} |"
        for name, one in (("examined", first), ("again, from the cache", again))
    ]
    text = [
        f"# {options.lines:,} lines of CSV",
        "",
        f"`python -m benchmarks.molecules.reading --lines {options.lines} --workers "
        f"{options.workers}`: a table of {size:.0f} MB with identifiers, SMILES and scores. Of its "
        f"{first['lines']:,} lines {first['molecules']:,} become molecules, "
        f"{first['duplicates']:,} repeat one, {first['rejected']:,} are rejected, and one is the "
        "header.",
        "",
        "|  | seconds to read | seconds of CPU | seconds of the process | GB, workers included |",
        "| - | -: | -: | -: | -: |",
        *rows,
        "",
        f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}, "
        f"{options.workers} workers, load average {os.getloadavg()[0]:.0f} at the end. The process "
        "also imports JAX and loads the model.",
    ]
    options.out.write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
