"""Stopping at a place of our choosing, when a person or a scheduler asks for it."""

import signal
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
