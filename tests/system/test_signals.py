from __future__ import annotations

import os
import signal
import threading

import pytest

from dicombq.system.signals import held_back


def hold_back_ctrl_c() -> None:
    with held_back():
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.sigpending() == {signal.SIGINT}


def test_ctrl_c_waits_until_it_is_let_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        hold_back_ctrl_c()


def test_a_thread_that_is_started_inside_takes_no_signal() -> None:
    masks: list[set[int]] = []
    with held_back():
        thread = threading.Thread(target=lambda: masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        thread.start()
    thread.join()
    assert {signal.SIGINT, signal.SIGTERM} <= masks[0]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGINT, signal.SIGTERM}
