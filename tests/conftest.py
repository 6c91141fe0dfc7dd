"""Shared set-up: eight virtual CPU devices, and a cache of the tests' own."""

import gc
import os
import signal
import tempfile
from importlib.metadata import version
from pathlib import Path

# Two test processes on two cores: LAPACK's own threads would only get in each other's way. Before
# JAX, which loads it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Most of the time goes into compiling hundreds of small programs: do not polish them, and leave out
# the fusion emitters, which take two thirds of it, and threads for one program: both cores have
# work. XLA ends at flags that it does not know: two are for the versions that were tried.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    * version("jaxlib").startswith("0.10."),
)

import jax
import pytest

from tests.variants import LEFT_TO_BENCH
from wrlso.models import gru

# Tracing makes millions of short-lived objects: looked through at the usual rate, they cost a tenth
# of the suite.
gc.set_threshold(200_000, 20, 100)

# A shell starts what it puts in the background with Ctrl-C ignored, which would be inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("WRLSO_CACHE", tempfile.mkdtemp(prefix="wrlso-test-cache-"))
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_compilation_cache_dir", os.path.join(os.environ["WRLSO_CACHE"], "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


@pytest.fixture(scope="module")
def rolled_loops():
    """Do not unroll the loops of the recurrent unit, which then compiles in a fraction of the time:
    ``test_gru`` compares both ways."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gru, "_UNROLLED", 0)
        yield


@pytest.fixture(scope="module")
def strict_modes():
    """The modes of strict codebases: no NaN leaves a program, and nothing is promoted silently."""
    with (
        jax.debug_nans(True),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    ):
        yield


@pytest.fixture(scope="module", autouse=True)
def few_programs():
    """Forgets compiled programs between modules, once there are some hundreds.

    With two thousand of them alive JAX takes three times as long to lower another one, and the
    suite half as long again. Each holds half a dozen memory maps, of which Linux gives a process
    65,530: XLA ends with a segmentation fault while it compiles the one that exceeds them (JAX
    issue 27201).
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 2_000:
        jax.clear_caches()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if LEFT_TO_BENCH.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
