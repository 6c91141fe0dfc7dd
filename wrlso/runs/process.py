"""The state of the process that a run needs: virtual CPU devices, compiled programs on disk, and
Python's collector out of the way of tracing."""

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import jax
from jax.experimental.compilation_cache import compilation_cache

from wrlso.parallel import request_cpu_devices
from wrlso.storage.cache import cache_dir
from wrlso.storage.files import sweep_parts
from wrlso.storage.programs import check_programs

_CACHED = ("pretrained", "molecules", "compiled")
"""Folders of the cache."""

_LEFT = 3600.0
"""Age in seconds at which a file that is being written is taken for a killed process's."""

_BLAS_THREADS = (
    "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
"""Environment variables by which people choose a number of threads."""

_SETTINGS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")


def request_devices(seeds: int, devices: int | None) -> None:
    """Request one virtual CPU device per core, unless JAX runs or somebody has chosen a number."""
    chosen = jax.config.jax_num_cpu_devices >= 0  # type: ignore[attr-defined]
    if seeds >= 1 and not chosen and (devices is None or devices >= 1):
        request_cpu_devices(seeds, devices)


def one_blas_thread() -> AbstractContextManager:
    """Limit BLAS and LAPACK to one thread while the block runs.

    threadpoolctl allows two OpenMP runtimes for the whole process when it is imported. That is the
    caller's to decide, so the variable is put back.
    """
    name = "KMP_DUPLICATE_LIB_OK"
    before = os.environ.get(name)
    import scipy.linalg  # noqa: F401  (its BLAS is the one that JAX calls; loaded, it can be limited)
    from threadpoolctl import threadpool_limits

    if before is None:
        os.environ.pop(name, None)
    return threadpool_limits(1, user_api="blas")


def few_blas_threads(devices: int) -> AbstractContextManager:
    """Limit BLAS and LAPACK to one thread while programs run on a CPU in the block.

    The matrices of a fit are small, and further threads spin between two factorisations. On a
    machine that others use, too, they wait for each other: a fit took 25 s in place of 1.5 s. The
    number of threads that an environment variable chooses holds, unless several devices of the CPU
    factorise at once.

    Args:
      devices: number of devices that compute.
    """
    chosen = any(os.environ.get(name) for name in _BLAS_THREADS)
    one = devices > 1 or (jax.default_backend() == "cpu" and not chosen)
    return one_blas_thread() if one else nullcontext()


@contextmanager
def programs_on_disk() -> Iterator[None]:
    """Keep compiled programs in the cache folder while the block runs.

    A second run of the same kind, in another process, then compiles nothing. A cache that the
    process has chosen already is left as it is; afterwards all settings are those from before.
    """
    before = {name: getattr(jax.config, name) for name in _SETTINGS}
    if before["jax_compilation_cache_dir"] is not None:
        yield
        return
    try:
        for name in _CACHED:
            sweep_parts(cache_dir() / name, _LEFT)
        folder = cache_dir() / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # Also the small programs around the large ones: a start compiles a hundred of them.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        compilation_cache.reset_cache()  # JAX looks for the folder once
        check_programs(folder)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


@contextmanager
def collector_paused() -> Iterator[None]:
    """Switch Python's collector off while the block runs.

    Tracing makes millions of objects, nearly all of which die at once without it: it took a quarter
    of the time to trace a round.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
