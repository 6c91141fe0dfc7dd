"""Ctrl-C where it would be lost."""

import contextlib
import os
import signal
import threading

import pytest

from tests.builders import make_tiny_task, tiny_data, tiny_run
from wrlso.runs.interrupt import remembered_interrupts, terminated_as_interrupted
from wrlso.runs.log import Query, QueryLog
from wrlso.status import Status


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def swallow_then_check():
    with remembered_interrupts() as check:
        check()  # nothing yet
        with contextlib.suppress(KeyboardInterrupt):
            interrupt()
            pytest.fail("the handler did not raise")
        check()


def interrupted_at_once():
    with remembered_interrupts():
        interrupt()
        pytest.fail("went on")


@pytest.mark.parametrize("block", [swallow_then_check, interrupted_at_once])
def test_an_interrupt_is_not_lost(block):
    with pytest.raises(KeyboardInterrupt):
        block()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_applications_own_handler_is_left_alone():
    caught = []
    signal.signal(signal.SIGINT, lambda *_: caught.append(1))
    try:
        with remembered_interrupts() as check:
            interrupt()
            check()
        assert caught == [1]
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_run_without_it():
    done = []

    def work():
        with remembered_interrupts() as check:
            check()
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("statement", ["BEGIN", "INSERT", "COMMIT"])
def test_an_interrupt_inside_a_write_to_the_log_waits_for_its_end(tmp_path, number, statement):
    """Wherever it comes, the write is whole, the next one works, and the interrupt is raised."""
    log = QueryLog(tmp_path / "queries.sqlite")
    came = []

    def trace(text):
        if text.startswith(statement) and not came:
            came.append(text)
            os.kill(os.getpid(), number)

    log._db.set_trace_callback(trace)
    query = Query(0, 0, 0, b"\0" * 4, b"ab", 1.5, Status.OK)
    with terminated_as_interrupted(), pytest.raises(KeyboardInterrupt):
        log.add([query])
    assert came
    assert log.queries() == [query]
    log.add([query])
    log.close()


def test_an_interrupt_that_jax_forgets_before_the_run_begins_ends_it(tmp_path):
    """It comes while the starting data are loaded, inside a callback, which swallows it."""

    def load():
        with contextlib.suppress(KeyboardInterrupt):
            interrupt()
        return tiny_data()

    with pytest.raises(KeyboardInterrupt):
        tiny_run(tmp_path / "run", make_tiny_task(load_data=load))
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def block_in_a_block():
    with remembered_interrupts():
        with contextlib.suppress(KeyboardInterrupt):
            interrupt()
        with remembered_interrupts():
            pytest.fail("went on")


def test_blocks_in_blocks_remember_together():
    with pytest.raises(KeyboardInterrupt):
        block_in_a_block()
    with remembered_interrupts() as check:
        check()  # what came before is over


def test_it_says_at_once_that_the_program_will_stop(capfd):
    with pytest.raises(KeyboardInterrupt), remembered_interrupts(say=True):
        signal.raise_signal(signal.SIGINT)
    assert "stopping after the present step" in capfd.readouterr().err


def test_an_interrupt_in_a_callback_of_collection_is_raised_later():
    """JAX would print it with its traceback, and forget it."""
    reached = []

    def _xla_gc_callback():
        signal.raise_signal(signal.SIGINT)
        reached.append(1)

    def block():
        with remembered_interrupts() as check:
            _xla_gc_callback()
            reached.append(2)
            check()

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached == [1, 2]
