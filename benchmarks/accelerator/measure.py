"""Time, compile time, memory and floating-point operations of compiled programs."""

import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, fields
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params

from wrlso.parallel import compiler_options

PEAKS = {
    "H100": (989.0, 494.0),
    "H200": (989.0, 494.0),
    "A100": (312.0, 156.0),
    "L4": (121.0, 60.0),
    "T4": (65.0, 8.1),
    "TPU v5e": (197.0, 197.0),
    "TPU v4": (275.0, 275.0),
}
"""TFLOP/s of dense products in bfloat16, and in float32 by TensorFloat-32 or, where there is none,
by the vector units; from the vendors' data sheets. Other devices have no share of peak."""


@dataclass
class Row:
    """A measurement, as a row of the CSV.

    Attributes:
      part: the group of figures.
      what: the program.
      setting: its sizes.
      mode: ``vmap``, ``map``, a library, or empty.
      seconds: median wall time of a call.
      per: what the seconds are divided by to give ``each``: seeds, objects, or 1.
      each: seconds / per.
      compile_seconds: to trace and compile the program, beside the others.
      memory_mib: arguments, results and temporary arrays of the program, by its compiler.
      tflops: operations of matrix products and convolutions per second, in 1e12. A loop without a
        stated length counts once.
      peak_share: of the device's peak; empty if it is not known.
      note: why a figure is missing, or the agreement with the CPU.
    """

    part: str
    what: str
    setting: str = ""
    mode: str = ""
    seconds: float | None = None
    per: int = 1
    each: float | None = None
    compile_seconds: float | None = None
    memory_mib: float | None = None
    tflops: float | None = None
    peak_share: float | None = None
    note: str = ""


COLUMNS = [field.name for field in fields(Row)]


def cells(row: Row) -> list[str]:
    """The row as text, with three digits."""
    return [
        "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
        for value in asdict(row).values()
    ]


class Deadline:
    """The end of the script: what would begin after it is left out, and said to be."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()

    def reached(self, needed: float = 0.0) -> bool:
        """Whether fewer than ``needed`` seconds are left."""
        return self.left <= needed


@dataclass
class Program:
    """A function to be compiled and timed, and the row that its figures fill in.

    Attributes:
      row: what it is.
      function: of the arguments.
      arguments: arrays.
      half: it multiplies in bfloat16.
    """

    row: Row
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    half: bool = False


@dataclass
class Compiled:
    """A program, the seconds that it took to trace and compile, and its operations in products."""

    program: Any
    seconds: float
    operations: float


class Compiling:
    """Programs that are compiled side by side, on all cores of the host, and timed one by one.

    A program's compile time is therefore that of many at once. Where the device's compiler takes
    minutes, one after the other would leave no time for anything else.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(os.cpu_count())
        self._futures: dict[int, Future[Compiled]] = {}

    def add(self, program: Program) -> None:
        """Trace a program, and start to compile it."""
        self._futures[id(program)] = self.begin(program.function, program.arguments)

    def begin(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Compiled]:
        """Trace a function of arrays, and start to compile it for the device that holds them."""
        start = time.perf_counter()
        traced = jax.jit(function).trace(*arguments)
        operations = products(traced.jaxpr.jaxpr)
        lowered = traced.lower()
        spent = time.perf_counter() - start
        platforms = {d.platform for a in jax.tree.leaves(arguments) for d in _devices(a)}
        options = {} if platforms == {"cpu"} else compiler_options()
        return self._pool.submit(_compiled, lowered, options, spent, operations)

    def wait(self, seconds: float) -> None:
        """Until all are compiled, but at most some seconds."""
        wait(self._futures.values(), max(seconds, 0.0))

    def measured(self, program: Program, deadline: Deadline) -> Row:
        """Time a program, and fill in its row. An error or no time is a note in it."""
        row = program.row
        if deadline.reached():
            row.note = LEFT_OUT
            return row
        try:
            future = self._futures.pop(id(program))
            compiled = future.result(max(deadline.left, 0.1))
            row.compile_seconds = compiled.seconds
            seconds = _timed(compiled.program, program.arguments, deadline)
        except TimeoutError:
            row.note = NOT_COMPILED
            return row
        except Exception as error:  # a device that cannot hold it, a kernel that does not exist
            row.note = (str(error).splitlines() or [type(error).__name__])[0][:120]
            return row
        _fill_in(row, compiled, seconds, program.half)
        return row

    def close(self) -> None:
        """Forget what has not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)


LEFT_OUT = "left out: no time"
NOT_COMPILED = "left out: it was not compiled in time"


def _compiled(lowered: Any, options: Any, spent: float, operations: float) -> Compiled:
    start = time.perf_counter()
    program = lowered.compile(options)
    return Compiled(program, spent + time.perf_counter() - start, operations)


def _devices(array: Any) -> set[Any]:
    return array.devices() if isinstance(array, jax.Array) else set()


def _timed(compiled: Any, arguments: tuple[Any, ...], deadline: Deadline) -> float:
    """The median of three calls after a first one; a long program is timed once."""
    seconds: list[float] = []
    for repeat in range(4):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        seconds.append(time.perf_counter() - start)
        if (repeat and sum(seconds) > LONG) or deadline.reached(seconds[-1]):
            break
    return statistics.median(seconds[1:] or seconds)


LONG = 10.0
"""Seconds of calls after which a program is not called again."""


def _fill_in(row: Row, compiled: Compiled, seconds: float, half: bool) -> None:
    row.seconds, row.each = seconds, seconds / row.per
    memory = compiled.program.memory_analysis()
    if memory is not None:
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        row.memory_mib = sum(getattr(memory, part) for part in parts) / 2**20
    row.tflops = compiled.operations / seconds / 1e12
    row.peak_share = _share(row.tflops, half)


def products(jaxpr: Any) -> float:
    """Floating-point operations of the matrix products and convolutions of a program."""
    total = 0.0
    for eqn in jaxpr.eqns:
        out = math.prod(eqn.outvars[0].aval.shape) if eqn.outvars else 0
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            total += 2 * out * math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
        elif eqn.primitive.name == "conv_general_dilated":
            kernel = eqn.invars[1].aval.shape
            features = eqn.params["dimension_numbers"].rhs_spec[0]
            total += 2 * out * math.prod(kernel) / kernel[features]
        inner = [products(one) for one in jaxprs_in_params(eqn.params)]
        times = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
        if inner:
            total += times * (max(inner) if eqn.primitive.name == "cond" else sum(inner))
    return total


def _share(tflops: float, half: bool) -> float | None:
    kind = jax.devices()[0].device_kind
    peak = next((peaks for name, peaks in PEAKS.items() if name in kind), None)
    return None if peak is None else tflops / peak[0 if half else 1]


def device_lines() -> list[str]:
    """Device, driver and versions."""
    device = jax.devices()[0]
    driver = "no NVIDIA driver"
    try:
        query = [
            "nvidia-smi",
            "--query-gpu=name,driver_version,memory.total",
            "--format=csv,noheader",
        ]
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return [
        f"device: {device.device_kind} ({device.platform}), {len(jax.devices())} in all",
        f"driver: {driver}",
        f"jax {jax.__version__}, jaxlib {jax.lib.__version__}",
        f"XLA_FLAGS: {os.environ.get('XLA_FLAGS') or 'none'}; options of the compiler: "
        + (", ".join(f"{k}={v}" for k, v in compiler_options().items()) or "none"),
    ]
