"""Ctrl-C where it would be lost."""

import os
import signal
import threading

import pytest

from wrlso.runs.interrupt import remembered_interrupts


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_that_is_swallowed_is_raised_again():
    with pytest.raises(KeyboardInterrupt), remembered_interrupts() as check:
        check()  # nothing yet
        try:
            interrupt()
        except KeyboardInterrupt:
            pass
        else:
            pytest.fail("the handler did not raise")
        check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_is_raised_at_once_where_it_can_be():
    with pytest.raises(KeyboardInterrupt), remembered_interrupts():
        interrupt()
        pytest.fail("went on")
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
