"""A process of its own for what may crash: it loads file after file, and its end, silence or hunger is a finding, not the test's end."""

import multiprocessing
import resource
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from common.errors import DuaError

SPARE = 2**30
"""Bytes of address space that a load may ask for, and..."""
GROWTH = 400 * 2**20
"""...of memory that the process may come to fill: a loader's libraries take some when they are used first."""


class Outcome(NamedTuple):
    """`kind` is 'loaded', 'refused' (by a `DuaError`), 'raised' (anything else), 'hungry', 'crashed' or 'hung'."""

    kind: str
    said: str = ""
    value: Any = None


class Sandbox:
    """Runs `load(path)` in a forked process, which is replaced when it dies.

        with Sandbox(load, folder) as sandbox:
            outcome = sandbox.load("x.npz", content)

    Args:
        load: gets the file's path; what it returns comes back by pickle.
        folder: where files are written.
        seconds: until a load counts as hung.
    """

    def __init__(self, load: Callable[[Path], Any], folder: Path, seconds: float = 40.0) -> None:
        self._load, self._folder, self._seconds = load, folder, seconds
        self._process: Any = None

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def load(self, name: str, content: bytes) -> Outcome:
        (self._folder / name).write_bytes(content)
        if self._process is None:
            self._start()
        self._pipe.send(self._folder / name)
        try:
            if self._pipe.poll(self._seconds):
                return self._pipe.recv()
        except EOFError:
            pass
        outcome = Outcome("hung") if self._process.is_alive() and not self._gone() else Outcome("crashed", str(self._exit_code()))
        self._end()
        return outcome

    def _start(self) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._load), daemon=True)
        self._process.start()
        theirs.close()

    def _gone(self) -> bool:
        self._process.join(0.2)
        return not self._process.is_alive()

    def _exit_code(self) -> int | None:
        self._process.join(5)
        return self._process.exitcode

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(pipe: Any, load: Callable[[Path], Any]) -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + SPARE, taken + SPARE))
    base = _peak()
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            return
        outcome = _attempt(load, path)
        if outcome.kind in ("loaded", "refused") and _peak() - base > GROWTH:
            outcome = Outcome("hungry", f"{(_peak() - base) >> 20} MiB; {outcome.said}")
        pipe.send(outcome)


def _attempt(load: Callable[[Path], Any], path: Path) -> Outcome:
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            value = load(path)
        if warned:  # whoever runs a script would see more than one clear line
            return Outcome("raised", f"{warned[0].filename}:{warned[0].lineno}: {warned[0].message}")
        return Outcome("loaded", value=value)
    except DuaError as error:
        if warned:
            return Outcome("raised", f"{warned[0].filename}:{warned[0].lineno}: {warned[0].message}")
        cause: BaseException | None = error
        while cause is not None:  # a refusal for want of memory has asked for it first
            if isinstance(cause, MemoryError):
                return Outcome("hungry", str(error))
            cause = cause.__cause__ or cause.__context__
        return Outcome("refused", str(error))
    except MemoryError:
        return Outcome("hungry", traceback.format_exc())
    except BaseException:
        return Outcome("raised", traceback.format_exc())


def _peak() -> int:
    """Bytes of memory that the process has filled at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
