"""Time, compile time, memory and floating-point operations of compiled programs."""

import math
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import jax
from jax.extend.core import jaxprs_in_params

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
      compile_seconds: of the program, once.
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


def measured(
    row: Row, function: Callable[..., Any], *arguments: Any, repeats: int = 3, half: bool = False
) -> tuple[Row, Any]:
    """Compile a function, time it, and fill in the row; also its result.

    A program that the device cannot hold is a row with the error's first line.
    """
    try:
        start = time.perf_counter()
        compiled = jax.jit(function).lower(*arguments).compile()
        row.compile_seconds = time.perf_counter() - start
        out = jax.block_until_ready(compiled(*arguments))
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            jax.block_until_ready(compiled(*arguments))
            seconds.append(time.perf_counter() - start)
    except jax.errors.JaxRuntimeError as error:
        row.note = str(error).splitlines()[0][:120]
        return row, None
    row.seconds = statistics.median(seconds)
    row.each = row.seconds / row.per
    memory = compiled.memory_analysis()
    if memory is not None:
        parts = ("argument_size_in_bytes", "output_size_in_bytes", "temp_size_in_bytes")
        row.memory_mib = sum(getattr(memory, part) for part in parts) / 2**20
    row.tflops = products(jax.make_jaxpr(function)(*arguments).jaxpr) / row.seconds / 1e12
    row.peak_share = _share(row.tflops, half)
    return row, out


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
    ]
