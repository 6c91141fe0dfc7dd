"""Ctrl-C where it would be lost."""

import contextlib
import os
import signal
import threading

import pytest

from wrlso.runs.interrupt import remembered_interrupts


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
