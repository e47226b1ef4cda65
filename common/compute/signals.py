"""Stopping at a place of our choosing, when a person or a scheduler asks for it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def watch_for_stop() -> Iterator[Callable[[], bool]]:
    """While this is open, the first Ctrl-C, SIGTERM or hang-up only raises a flag; a second Ctrl-C interrupts at once.

    A hang-up comes when the terminal is closed or the connection is lost; `nohup` has it ignored, and so it stays.
    """
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        if asked and signum == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """In a process of a pool: Ctrl-C reaches every process of a terminal, and the main one ends the others. Killed it cannot, and they
    would wait for ever, so they end when it does. What the main one does at SIGTERM is not theirs to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
