"""Worker processes: really killed, really hung, and nothing else is lost."""

import ctypes
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from wrlso import Status
from wrlso.evaluation.workers import WorkerPool


def make_misbehave():
    """Made inside a function, so that it goes by value and workers need not import this file."""

    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no")

    def misbehave(item):
        match item:
            case "exit 0":
                os._exit(0)
            case "exit 7":
                os._exit(7)
            case "segfault":
                ctypes.string_at(0)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "abort":
                print("terminate called: no memory", flush=True)
                os.abort()
            case "hang":
                time.sleep(600)
            case "hang in C":  # holds the interpreter's lock
                ctypes.PyDLL(None).sleep(600)
            case "raise":
                raise KeyError("seven")
            case "sys.exit":
                sys.exit(3)
            case "unprintable":
                raise Unprintable
            case "text":
                return "a lot"
            case "unpicklable":
                return threading.Lock()
            case "none":
                return None
        return item

    return misbehave


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(make_misbehave(), workers=2, timeout=0.5) as workers:
        yield workers


@pytest.mark.parametrize(
    ("item", "status", "reason"),
    [
        ("exit 0", Status.FAILED, "the worker process exited with code 0"),
        ("exit 7", Status.FAILED, "the worker process exited with code 7"),
        ("segfault", Status.FAILED, "the worker process was killed by SIGSEGV"),
        ("kill", Status.FAILED, "the worker process was killed by SIGKILL"),
        ("abort", Status.FAILED, "killed by SIGABRT; it last printed: terminate called: no memory"),
        ("hang", Status.TIMEOUT, "no answer within 0.5 s"),
        ("hang in C", Status.TIMEOUT, "no answer within 0.5 s"),
        ("raise", Status.FAILED, "KeyError: 'seven'"),
        ("sys.exit", Status.FAILED, "SystemExit: 3"),
        ("unprintable", Status.FAILED, "Unprintable: (its message cannot be shown: RuntimeError)"),
        ("text", Status.FAILED, "not a number: it is the text 'a lot'"),
        ("unpicklable", Status.FAILED, "not a number: TypeError"),
        ("none", Status.FAILED, "not a number: it is None"),
        (float("nan"), Status.FAILED, "score is nan"),
        (float("-inf"), Status.FAILED, "score is -inf"),
        (1e39, Status.FAILED, "score is 1e+39"),
    ],
)
def test_only_the_bad_object_is_lost(pool, item, status, reason):
    scores, statuses, reasons = pool.evaluate([0.5, 1, item, np.float32(3), 4])
    np.testing.assert_array_equal(scores, [0.5, 1, np.nan, 3, 4])
    ok = Status.OK
    assert statuses == [ok, ok, status, ok, ok]
    assert reason in reasons[2]
    assert [reasons[i] for i in (0, 1, 3, 4)] == [None] * 4


def test_hangs_pass_at_the_same_time_and_in_time(pool):
    start = time.monotonic()
    _, statuses, _ = pool.evaluate(["hang", "hang"])
    assert statuses == [Status.TIMEOUT] * 2
    assert 0.5 <= time.monotonic() - start < 4.0


def test_an_empty_batch(pool):
    scores, statuses, reasons = pool.evaluate([])
    assert (scores.shape, statuses, reasons) == ((0,), [], [])


def test_results_arrive_one_by_one():
    with WorkerPool(make_misbehave(), workers=2) as pool:
        results = pool.scored(["hang", 5, 6])
        arrived = [next(results) for _ in range(2)]
    assert [(result.position, result.score) for result in arrived] == [(1, 5), (2, 6)]


def test_workers_stay_from_batch_to_batch():
    with WorkerPool(lambda _: os.getpid(), workers=2) as pool:
        pids = {pid for _ in range(20) for pid in pool.evaluate(range(4))[0]}
    assert len(pids) <= 2
    assert os.getpid() not in pids


def test_what_a_function_loads_is_loaded_once():
    """State in the function's own module or closure lives as long as the worker."""
    calls = []

    def count(_):
        calls.append(1)
        return len(calls)

    with WorkerPool(count, workers=1) as pool:
        assert list(pool.evaluate(range(3))[0]) == [1, 2, 3]
        assert list(pool.evaluate(range(2))[0]) == [4, 5]
    assert calls == []


def test_arrays_go_in_and_anything_comes_out():
    with WorkerPool(lambda array: array * 2, workers=1) as pool:
        (outcome,) = pool.outcomes([np.arange(200_000)])  # more than a pipe holds
    assert outcome.kind == "ok"
    np.testing.assert_array_equal(outcome.value, 2 * np.arange(200_000))


def test_a_worker_killed_while_idle_costs_nothing(pool):
    pool.evaluate(range(4))
    for worker in pool._workers:
        os.kill(worker.process.pid, signal.SIGKILL)
    time.sleep(0.1)
    scores, statuses, _ = pool.evaluate(range(4))
    assert list(scores) == [0, 1, 2, 3]
    assert set(statuses) == {Status.OK}


@pytest.mark.slow
def test_killed_at_random_each_kill_costs_at_most_one():
    rng = random.Random(0)

    def work(item):
        time.sleep(0.002)
        return item

    killed = []

    def kill_some():
        while not done.wait(rng.uniform(0.02, 0.12)):
            running = [w.process.pid for w in list(pool._workers) if w.ready]
            if running:
                killed.append(rng.choice(running))
                try:
                    os.kill(killed[-1], signal.SIGKILL)
                except ProcessLookupError:
                    killed.pop()

    done = threading.Event()
    with WorkerPool(work, workers=2, timeout=30) as pool:
        killer = threading.Thread(target=kill_some)
        killer.start()
        try:
            scores, statuses, _ = pool.evaluate(range(1000))
        finally:
            done.set()
            killer.join()
    lost = [i for i, status in enumerate(statuses) if status != Status.OK]
    assert killed
    assert len(lost) <= len(killed)
    kept = np.setdiff1d(np.arange(1000), lost)
    np.testing.assert_array_equal(scores[kept], kept)


def test_what_a_worker_started_dies_with_it(tmp_path):
    note = tmp_path / "pid"

    def start_a_program(_):
        program = subprocess.Popen(["sleep", "600"])
        note.write_text(str(program.pid))
        program.wait()

    with WorkerPool(start_a_program, workers=1, timeout=0.5) as pool:
        assert pool.evaluate([0])[1] == [Status.TIMEOUT]
        assert gone(int(note.read_text()))


def test_leaving_early_kills_the_busy_and_keeps_the_idle():
    def work(item):
        time.sleep(600 if item == "hang" else 0)
        return os.getpid()

    with WorkerPool(work, workers=2) as pool:
        before = set()
        while len(before) < 2:
            before |= set(pool.evaluate([0] * 50)[0])
        for _ in pool.scored(["hang", 0]):
            break
        after = set(pool.evaluate([0] * 50)[0])
    assert len(before & after) == 1


def test_one_batch_at_a_time(pool):
    results = pool.scored([1, "hang"])
    next(results)
    with pytest.raises(RuntimeError, match="evaluating another batch"):
        pool.evaluate([1])
    results.close()


def test_workers_load_neither_jax_nor_this_script():
    def modules(_):
        import wrlso.evaluation.workers  # noqa: F401  a part of the package, by itself

        return sorted(sys.modules)

    def uses_the_package(_):
        import wrlso

        return float(
            wrlso.rank_weights.__module__ == "wrlso.weighting.ranks" and "jax" in sys.modules
        )

    with WorkerPool(modules, workers=1) as pool:
        (outcome,) = pool.outcomes([0])
    assert "wrlso.evaluation.workers" in outcome.value
    assert not {"jax", "numpy", "pytest"} & set(outcome.value)
    with WorkerPool(uses_the_package, workers=1) as pool:
        assert pool.evaluate([0])[0] == 1


class Reduced:
    """Unpickling calls a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __call__(self, item):
        return item

    def __reduce__(self):
        return self.call


def test_a_function_that_cannot_be_used_is_refused_with_the_reason():
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"cannot be sent to a worker process .*lock"):
        WorkerPool(lambda item: lock.acquire(), workers=1)
    with WorkerPool(Reduced(os.stat, "/no/such/model"), workers=1) as pool:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="loaded in a worker process: FileNotFoundError"):
                pool.evaluate([1])
    with (
        WorkerPool(Reduced(os._exit, 9), workers=1) as pool,
        pytest.raises(RuntimeError, match=r"fail to start and load.*exited with code 9"),
    ):
        pool.evaluate([1])
    with (
        WorkerPool(Reduced(time.sleep, 600), workers=1, startup_timeout=0.5) as pool,
        pytest.raises(RuntimeError, match=r"fail to start and load.*within 0\.5 s"),
    ):
        pool.evaluate([1])
    assert all(gone(worker.process.pid) for worker in pool._workers)


@pytest.mark.slow
def test_one_slow_start_of_four_does_not_end_the_batch(tmp_path):
    """The first process to load the function takes long; the limit ends it meanwhile."""

    def load(first=str(tmp_path / "first")):
        try:
            os.mkdir(first)
            time.sleep(600)
        except FileExistsError:
            return lambda item: time.sleep(0.25) or item

    with WorkerPool(Reduced(load), workers=4, startup_timeout=4.0) as pool:
        scores, statuses, _ = pool.evaluate(range(80))
    assert list(scores) == list(range(80))
    assert set(statuses) == {Status.OK}


def test_an_item_that_cannot_be_pickled_is_named(pool):
    with pytest.raises(TypeError, match="item 1 cannot be pickled"):
        pool.evaluate([0, threading.Lock()])
    assert list(pool.evaluate([1])[0]) == [1]


@pytest.mark.parametrize("bad", [{"workers": 0}, {"timeout": 0}, {"startup_timeout": -1}])
def test_numbers_out_of_range_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        WorkerPool(float, **bad)


SCRIPT = textwrap.dedent("""
    import ctypes, os, sys
    from pathlib import Path
    from wrlso.evaluation.workers import WorkerPool

    def work(item):  # defined in the script, which has no "if __name__" guard
        Path(sys.argv[1], str(os.getpid())).touch()
        ctypes.PyDLL(None).sleep(item)  # in C, with the interpreter's lock
        return item

    pool = WorkerPool(work, workers=2)
    print(pool.evaluate([0, 0])[0].tolist(), flush=True)
    pool.evaluate([600, 600])
""").replace("sys.argv[1]", "FOLDER")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphans_however_the_parent_ends(tmp_path, how):
    script = tmp_path / "script.py"
    folder = tmp_path / "pids"
    folder.mkdir()
    script.write_text(SCRIPT.replace("FOLDER", repr(str(folder))))
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout.readline() == "[0.0, 0.0]\n"
    time.sleep(0.3)
    parent.send_signal(how)
    _, errors = parent.communicate(timeout=20)
    assert ("KeyboardInterrupt" in errors) == (how == signal.SIGINT)
    pids = [int(path.name) for path in folder.iterdir()]
    assert pids
    assert all(gone(pid) for pid in pids)


def gone(pid: int) -> bool:
    """Whether a process ends within seconds; one that nobody has waited for is dead too."""
    for _ in range(100):
        if process_state(pid) in ("", "Z"):
            return True
        time.sleep(0.05)
    return False


def process_state(pid: int) -> str:
    if not Path("/proc/self/stat").exists():
        command = ["ps", "-o", "stat=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()[:1]
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
