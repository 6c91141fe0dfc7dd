"""A tortured run, from wherever it stands to its end: ``python -m tests.torture.work CASE FOLDER``.

The same command begins a run and goes on with it. It prints ``go`` once it has loaded everything.
"""

import sys
from pathlib import Path

import numpy as np

import wrlso
from tests.builders import METHOD, host_task, make_tiny_task, tiny_bo, tiny_sweep
from tests.torture.objective import noted
from wrlso import methods
from wrlso.cli.main import main

COMMAND = Path(__file__).with_name("score.py")

_QUIET = ("--no-figures", "--no-progress")


def _on_the_command_line(folder, *options):
    if (folder / "config.json").exists():
        code = main(["resume", str(folder), *_QUIET])
    else:
        code = main(["run", *options, "--out", str(folder), *_QUIET])
    if code:
        sys.exit(code)


def shapes(folder):
    """The paper's first task, with Bayesian optimisation."""
    _on_the_command_line(
        folder, "shapes", "--budget", "12", "--seeds", "2", "--retrain-every", "4",
        "--proposer", "bo", "--batch", "2", "--epochs", "0.003",
    )  # fmt: skip


def expressions(folder):
    """The paper's second task, from the prior."""
    _on_the_command_line(
        folder, "expressions", "--budget", "16", "--seeds", "2", "--retrain-every", "4",
        "--proposer", "prior", "--epochs", "0.02",
    )  # fmt: skip


def molecules(folder):
    """Molecules that a program scores."""
    data = folder.parent / "data.smi"
    heads = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNC1")
    lines = [head + "C" * n + tail for head in heads for n in range(1, 6) for tail in "ONF"]
    data.write_text("".join(f"{line}\n" for line in lines))
    _on_the_command_line(
        folder, "molecules", "--command", f"{sys.executable} -S {COMMAND} {{}}",
        "--data", str(data), "--initial", "8", "--budget", "14", "--retrain-every", "3",
        "--proposer", "prior", "--workers", "2", "--epochs", "0.5",
    )  # fmt: skip


def host(folder, workers):
    """A task of one's own, whose objective is evaluated in worker processes."""
    task = host_task(wrlso.HostObjective(noted, workers=workers, batch_size=1))
    if (folder / "config.json").exists():
        wrlso.resume(folder, task=task, progress=False)
    else:
        wrlso.run(task, METHOD, out=folder, budget=20, seeds=2, proposer="prior", progress=False)


def sweep(folder):
    """Three methods side by side, in one program."""
    swept = {f"k={k:g}": methods.weighted_retraining(k, 4) for k in (0.01, 0.1, 1.0)}
    tiny_sweep(folder, swept, make_tiny_task(), seeds=2)


def ask_and_tell(folder):
    """Candidates are measured here, and told in any order, some twice."""
    task = host_task(noted, bo=tiny_bo(candidates=120))
    method = methods.weighted_retraining(k=1e-2, retrain_every=4)
    rng = np.random.default_rng()
    with wrlso.open(
        folder, task, method, budget=16, batch=4, proposer="bo", progress=False
    ) as study:
        while True:
            waiting = study.pending
            for i in rng.permutation(len(waiting)):
                study.tell([(waiting[i], _measured(waiting[i]))])
                if rng.random() < 0.3:
                    study.tell([(waiting[i], _measured(waiting[i]))])  # once more
            if not study.ask(4):
                return


def _measured(candidate):
    try:
        return noted(candidate.object)
    except ValueError:
        return None


CASES = {
    "shapes": shapes,
    "expressions": expressions,
    "host, 1 worker": lambda folder: host(folder, 1),
    "host, 2 workers": lambda folder: host(folder, 2),
    "host, 4 workers": lambda folder: host(folder, 4),
    "ask and tell": ask_and_tell,
    "sweep": sweep,
    "molecules": molecules,
}

if __name__ == "__main__":
    print("go", flush=True)
    CASES[sys.argv[1]](Path(sys.argv[2]))
