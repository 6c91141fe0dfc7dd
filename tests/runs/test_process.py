"""A run leaves its process as it was, and its programs on disk for the next process."""

import contextlib
import gc
import json
import os
import subprocess
import sys
import textwrap

import jax
import pytest

from tests.builders import ROOT, make_tiny_task, tiny_run
from wrlso.runs.process import collector_paused, programs_on_disk


def in_a_new_process(code: str, tmp_path, **environment: str) -> dict:
    """The JSON that a program prints last."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "WRLSO_CACHE": str(tmp_path / "cache"),
    } | environment
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_the_package_loads_no_jax_and_changes_nothing(tmp_path):
    code = """
        import json, os, sys
        before = dict(os.environ)
        import wrlso
        loaded = "jax" in sys.modules
        import jax
        print(json.dumps([loaded, before == dict(os.environ), jax._src.xla_bridge._backends == {}]))
    """
    assert in_a_new_process(code, tmp_path) == [False, True, True]


def test_public_functions_start_no_backend_until_they_are_called(tmp_path):
    code = """
        import json, wrlso
        for name in wrlso.__all__:
            getattr(wrlso, name)
        wrlso.tasks.shapes(), wrlso.tasks.expressions()
        import jax
        print(json.dumps(jax._src.xla_bridge._backends == {}))
    """
    assert in_a_new_process(code, tmp_path) is True


@pytest.mark.parametrize("proposer", ["grid", "bo"])
def test_no_array_outlives_a_run(tmp_path, proposer):
    task = make_tiny_task()
    tiny_run(tmp_path / "warm", task, proposer=proposer)
    gc.collect()
    before = len(jax.live_arrays())
    gc.disable()
    try:
        tiny_run(tmp_path / "run", task, proposer=proposer)
        assert len(jax.live_arrays()) == before
    finally:
        gc.enable()


def test_programs_go_to_disk_and_settings_come_back(tmp_path):
    code = """
        import json, pathlib, jax, os
        from wrlso.runs.process import collector_paused, programs_on_disk
        before = jax.config.jax_compilation_cache_dir
        with programs_on_disk():
            jax.jit(lambda x: x * 2 + 1)(3.0).block_until_ready()
        jax.jit(lambda x: x * 3 + 2)(3.0).block_until_ready()
        files = list((pathlib.Path(os.environ["WRLSO_CACHE"]) / "compiled").glob("*"))
        print(json.dumps([before, jax.config.jax_compilation_cache_dir, len(files) > 0]))
    """
    assert in_a_new_process(code, tmp_path) == [None, None, True]


def test_a_cache_that_the_process_has_chosen_stays():
    before = jax.config.jax_compilation_cache_dir
    assert before is not None  # the tests have their own
    with programs_on_disk():
        assert jax.config.jax_compilation_cache_dir == before


@pytest.mark.parametrize("on", [True, False])
def test_a_paused_collector_is_as_before_afterwards(on):
    was = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with contextlib.suppress(ZeroDivisionError), collector_paused():
            assert not gc.isenabled()
            1 / 0  # noqa: B018
        assert gc.isenabled() == on
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.slow
def test_another_default_generator_gives_the_same_queries(tmp_path):
    """Once the task is made: the tiny one draws its data and parameters from the default."""
    code = """
        import json, pathlib, sys, tempfile
        from dataclasses import replace
        import jax
        from tests.builders import make_tiny_task, tiny_run
        task = make_tiny_task()
        base = task.load_data()
        task = replace(task, load_data=lambda: base)
        jax.config.update("jax_default_prng_impl", IMPLEMENTATION)
        out = pathlib.Path(tempfile.mkdtemp()) / "run"
        found = tiny_run(out, task, proposer="prior", seeds=1)
        print(json.dumps([q.object.hex() for q in found.queries()]))
    """
    usual, other = (
        in_a_new_process(code.replace("IMPLEMENTATION", repr(name)), tmp_path)
        for name in ("threefry2x32", "rbg")
    )
    assert usual == other


def test_settings_of_other_libraries_stay_as_they_are(tmp_path):
    """After importing all of wrlso, and after drawing, filtering and scoring molecules."""
    code = """
        import json, logging, os, random, sys, warnings
        os.environ.pop("KMP_DUPLICATE_LIB_OK", None)
        import flax, jax, matplotlib, numpy, optax, scipy.linalg, scipy.sparse, scipy.special, tyro
        from rdkit import Chem, rdBase
        from rdkit.Chem import Draw, rdDepictor

        def state():
            return {
                "environment": dict(os.environ),
                "path": list(sys.path),
                "warnings": list(map(repr, warnings.filters)),
                "numpy": [numpy.geterr(), numpy.get_printoptions(), repr(numpy.random.get_state())],
                "random": random.getstate(),
                "recursion": sys.getrecursionlimit(),
                "logging": [logging.root.level, list(map(repr, logging.root.handlers))],
                "matplotlib": [repr(dict(matplotlib.rcParams)), matplotlib.get_backend()],
                "jax": {k: repr(v) for k, v in jax.config.values.items()},
                "drawing": rdDepictor.GetPreferCoordGen(),
                "stereo": [Chem.GetUseLegacyStereoPerception(), repr(rdBase.LogStatus())],
                "pickles": repr(Chem.GetDefaultPickleProperties()),
            }

        before = state()
        import wrlso, wrlso.api, wrlso.cli.main, wrlso.results.figures
        from wrlso.chem.draw import pictures
        from wrlso.chem.filters import molecule_filter
        from wrlso.chem.objective import make_objective
        from wrlso.runs.process import one_blas_thread
        pictures(["c1ccccc1O"])
        molecule_filter(alerts="pains", forbid="N")("CCO")
        for name in ("penalized_logp", "osimertinib"):
            make_objective(name).score("CCO")
        with one_blas_thread():
            pass
        after = state()
        print(json.dumps([name for name in before if before[name] != after[name]]))
    """
    assert in_a_new_process(code, tmp_path) == []


def test_a_start_compiles_few_small_programs_and_another_process_none(tmp_path):
    """Operations outside of ``jit`` are programs of their own; a hundred take seconds. All are kept
    on disk, also those of the plan, before the first round."""
    code = """
    import json, tempfile
    import jax
    from tests.builders import make_tiny_task
    from wrlso import methods, run

    events = []
    task, method = make_tiny_task(), methods.weighted_retraining(retrain_every=4)
    jax.monitoring.register_event_listener(lambda name, **_: events.append(name))
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: events.append(name))

    def used_and_found_on_disk():
        names = "/jax/core/compile/backend_compile_duration", "/jax/compilation_cache/cache_hits"
        found = [events.count(name) for name in names]
        events.clear()
        return found

    counts = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as out:
            run(task, method, out=out, budget=4, seeds=2, proposer="bo", progress=False)
        counts.append(used_and_found_on_disk())
    print(json.dumps(counts))
    """
    (first, again), (other, _) = (in_a_new_process(code, tmp_path) for _ in range(2))
    assert 2 <= first[0] < 40
    assert again[0] < 6  # those of the rounds, not the small ones
    assert other == [first[0], first[0]]


@pytest.mark.parametrize(("chosen", "devices", "within"), [("", 1, 1), ("2", 1, 2), ("2", 2, 1)])
def test_programs_on_a_cpu_run_with_one_thread_of_blas(tmp_path, chosen, devices, within):
    """Of runs with one device, too, and of studies; a number that somebody has chosen holds. On a
    busy machine, threads that wait for each other made a fit many times slower."""
    code = f"""
        import json, threadpoolctl, scipy.linalg, numpy, jax
        jax.config.update("jax_num_cpu_devices", 2)
        import wrlso
        from tests.builders import METHOD, count_bits_on_host, host_task, tiny_run
        threadpoolctl.threadpool_limits(2, user_api="blas")
        now = lambda: {{i["num_threads"] for i in threadpoolctl.threadpool_info()
                        if i["user_api"] == "blas"}}
        run, lab, within, study = "{tmp_path}/run", "{tmp_path}/lab", set(), set()
        tiny_run(run, host_task(count_bits_on_host), METHOD, budget=4, seeds={devices},
                 devices={devices}, proposer="prior", callback=lambda event: within.update(now()))
        with wrlso.open(lab, host_task(None), METHOD, lambda event: study.update(now()), budget=8,
                        proposer="prior", progress=False) as lab:
            lab.tell({{c.id: 1.0 for c in lab.ask(4)}})
            lab.ask(1)
        print(json.dumps([list(within), list(study), list(now())]))
    """
    environment = {"OPENBLAS_NUM_THREADS": chosen, "OMP_NUM_THREADS": ""}
    alone = 2 if chosen else 1
    assert in_a_new_process(code, tmp_path, **environment) == [[within], [alone], [2]]
