"""Faulty objectives of sixty kinds. Each loses the object that it meets, and nothing else."""

KINDS = (
    # It raises.
    "KeyError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError",
    "StopIteration", "endless recursion", "MemoryError", "ExceptionGroup", "unprintable exception",
    "lone surrogate", "20 MB of text", "NUL", "many lines", "unpicklable exception",
    "a warning made an error", "an assertion",
    # It returns no score.
    "None", "a number as text", "bytes", "complex", "complex of NumPy", "NaN", "infinity",
    "minus infinity", "more than float32 holds", "a huge integer", "a list", "two numbers",
    "an empty array", "a text array", "a date", "a dictionary", "a lock", "a generator",
    "a value that ends who reads it", "a value without a number", "20 MB as value",
    "a lone surrogate as value", "NotImplemented",
    # It ends its process.
    "exit 0", "exit 7", "SIGSEGV", "SIGKILL", "SIGTERM", "abort", "it kills its group",
    "another program takes its place", "it closes all files", "it writes on all files",
    "half an answer",
    # It does not end.
    "sleep", "sleep in C", "SIGSTOP", "a deadlock", "it ignores SIGTERM",
    # It leaves something behind.
    "a fork that answers", "a fork that raises", "a fork that stays", "a daemon",
    "a program on its output", "a daemon on its output", "output without bound",
    "a program's output without bound", "a thread that prints",
)  # fmt: skip


def make_faulty():
    """A function from a kind, or a number, to a score. Made here, so that it goes by value."""

    def faulty(kind):
        import asyncio
        import contextlib
        import ctypes
        import os
        import signal
        import subprocess
        import sys
        import threading
        import time
        import warnings

        import numpy as np

        class Odd(Exception):
            def __str__(self):
                raise RuntimeError("no")

        class Locked(Exception):
            def __init__(self):
                super().__init__("locked")
                self.lock = threading.Lock()

        class Deadly:
            def __reduce__(self):
                return os._exit, (9,)

        class Wordy:
            def __float__(self):
                raise OSError("no float")

        def recurse():
            return recurse() + 1

        def daemon(output):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    if not output:
                        os.closerange(0, 64)
                    time.sleep(600)
                os._exit(0)

        def print_on():
            while True:
                print("y")
                time.sleep(0.01)

        def descriptors():
            return [int(name) for name in os.listdir("/proc/self/fd")]

        def write_everywhere(content):
            for number in descriptors():
                with contextlib.suppress(OSError):
                    os.write(number, content)

        exceptions = {
            "KeyError": KeyError("seven"), "SystemExit": SystemExit(0),
            "KeyboardInterrupt": KeyboardInterrupt(), "GeneratorExit": GeneratorExit(),
            "CancelledError": asyncio.CancelledError(), "StopIteration": StopIteration(3.0),
            "MemoryError": MemoryError(), "unprintable exception": Odd(),
            "lone surrogate": ValueError("\ud800 is lone"), "NUL": ValueError("a\0b"),
            "ExceptionGroup": ExceptionGroup("two", [ValueError("a"), ValueError("b")]),
            "many lines": ValueError("a line\n" * 1000), "unpicklable exception": Locked(),
            "an assertion": AssertionError(),
        }  # fmt: skip
        values = {
            "None": None, "a number as text": "3.5", "bytes": b"3", "complex": 1 + 0j,
            "complex of NumPy": np.complex128(1), "NaN": np.nan, "infinity": np.inf,
            "minus infinity": -np.inf, "more than float32 holds": 1e39,
            "a huge integer": 10**400, "a list": [1.0], "two numbers": np.ones(2),
            "an empty array": np.ones(0), "a text array": np.array(["3"]),
            "a date": np.datetime64("2026-11-26"), "a dictionary": {"score": 1.0},
            "a lock": threading.Lock(), "a generator": (i for i in [1.0]),
            "a value that ends who reads it": Deadly(), "a value without a number": Wordy(),
            "a lone surrogate as value": "\ud800", "NotImplemented": NotImplemented,
        }  # fmt: skip
        signals = {"SIGSEGV", "SIGKILL", "SIGTERM", "SIGSTOP"}
        if kind in exceptions:
            raise exceptions[kind]
        if kind in values:
            return values[kind]
        if kind in signals:
            os.kill(os.getpid(), getattr(signal, kind))
            time.sleep(600)
        match kind:
            case "endless recursion":
                recurse()
            case "20 MB of text":
                raise ValueError("x" * 20_000_000)
            case "a warning made an error":
                warnings.simplefilter("error")
                warnings.warn("careful", stacklevel=1)
            case "20 MB as value":
                return "x" * 20_000_000
            case "exit 0" | "exit 7":
                os._exit(int(kind[-1]))
            case "abort":
                os.abort()
            case "it kills its group":
                os.killpg(0, signal.SIGKILL)
            case "another program takes its place":
                os.execvp("sleep", ["sleep", "600"])
            case "it closes all files":
                os.closerange(0, 64)
            case "it writes on all files":
                write_everywhere(b"12345678" * 8)
            case "half an answer":
                write_everywhere(b"wrl1" + b"\0" * 8)
                time.sleep(600)
            case "sleep":
                time.sleep(600)
            case "sleep in C":
                ctypes.PyDLL(None).sleep(600)
            case "a deadlock":
                lock = threading.Lock()
                lock.acquire()
                lock.acquire()
            case "it ignores SIGTERM":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    pass
            case "a fork that answers":
                if os.fork() == 0:
                    return -99.0
                time.sleep(0.1)
                raise ValueError("the parent fails")
            case "a fork that raises":
                if os.fork() == 0:
                    raise ValueError("the child fails")
                return "no number"
            case "a fork that stays":
                if os.fork() == 0:
                    time.sleep(600)
                raise ValueError("the parent fails")
            case "a daemon" | "a daemon on its output":
                daemon(output=kind != "a daemon")
                raise ValueError("the daemon stays")
            case "a program on its output":
                subprocess.Popen(["sleep", "600"])
                raise ValueError("the program stays")
            case "output without bound":
                while True:
                    print("y" * 100_000)
            case "a program's output without bound":
                subprocess.run(["yes"])
            case "a thread that prints":
                threading.Thread(target=print_on, daemon=True).start()
                raise ValueError("the thread stays")
        sys.stdout.flush()
        return float(kind)

    return faulty
