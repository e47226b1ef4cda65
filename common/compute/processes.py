"""Work on all cores: tasks of processes, whose results come in order, and an end that leaves none of them behind."""

import argparse
import io
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, redirect_stderr
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from common.compute.signals import end_with_parent, watch_for_stop
from common.errors import DuaError

T = TypeVar("T")
Task = TypeVar("Task")

_AHEAD = 3
"""Tasks for each process that may be under way or wait to be asked for: so memory does not grow with their number."""

_Outcome = tuple[Any, DuaError | None, str]
"""What a task returned, or the error that it raised, and what it said on stderr."""


def add_workers_argument(parser: argparse.ArgumentParser) -> None:
    """`--workers` of scripts that read and build."""
    parser.add_argument(
        "--workers",
        type=int,
        default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        help="processes that read and build; the result does not depend on it (default: all cores, %(default)s)",
    )


class Processes:
    """Processes for tasks that all need the same things.

        with Processes(4, motions, "posed bodies") as processes:
            for films in processes.in_order(film, takes):      # film(motions, take)
                ...

    Ctrl-C and SIGTERM are heeded between results, which are short: they raise `KeyboardInterrupt`. What a task says on stderr is
    printed when its result comes, so that lines stand in the order of the tasks.

    Args:
        jobs: how many. With 1 there is none, and all is done here.
        shared: what each task is handed first; a process gets it once.
        work: what they do, for the message if one of them dies.
    """

    def __init__(self, jobs: int, shared: Any, work: str) -> None:
        if jobs < 1:
            raise DuaError(f"--workers {jobs}: at least 1 is needed")
        self._jobs, self._shared, self._work = jobs, shared, work
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._stop_asked = _never
            if threading.current_thread() is threading.main_thread():  # others cannot have handlers
                self._stop_asked = stack.enter_context(watch_for_stop())
            if self._jobs > 1:
                self._pool = ProcessPoolExecutor(self._jobs, initializer=_enter, initargs=(self._shared,))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._stack:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
            if error is None:
                self._heed()

    def in_order(self, function: Callable[[Any, Task], T], tasks: Iterable[Task]) -> Generator[T, None, None]:
        """What `function(shared, task)` returns for each task. The processes never run far ahead.

        Raises:
            DuaError: that of the first task which raises one, or a process died.
        """
        tasks = iter(tasks)
        if self._pool is None:
            for task in tasks:
                yield function(self._shared, task)
                self._heed()
            return
        waiting = deque(self.submit(function, task) for task in islice(tasks, _AHEAD * self._jobs))
        while waiting:
            result = waiting.popleft()()
            waiting.extend(self.submit(function, task) for task in islice(tasks, 1))
            yield result

    def submit(self, function: Callable[[Any, Task], T], task: Task) -> Callable[[], T]:
        """Begin `function(shared, task)`; the answer, once called, waits for what it returns, and raises what it raised."""
        if self._pool is None:
            done = function(self._shared, task)
            return lambda: done
        try:
            future: Future[_Outcome] = self._pool.submit(_run, function, task)
        except BrokenProcessPool as error:
            raise self._died() from error
        return lambda: self._result(future)

    def _result(self, future: Future[_Outcome]) -> Any:
        try:
            value, error, said = future.result()
        except BrokenProcessPool as broken:
            self._heed()  # who stops a whole group of processes stops these as well
            raise self._died() from broken
        self._heed()
        sys.stderr.write(said)
        if error is not None:
            raise error
        return value

    def _heed(self) -> None:
        if self._stop_asked():
            raise KeyboardInterrupt

    def _died(self) -> DuaError:
        return DuaError(f"a process that {self._work} died, perhaps for want of memory; try fewer --workers")


def _never() -> bool:
    return False


_shared: Any
"""Of this process, where it is one of the pool's."""


def _enter(shared: Any) -> None:
    global _shared
    _shared = shared
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # the cores are taken
    end_with_parent()


def _run(function: Callable[[Any, Task], Any], task: Task) -> _Outcome:
    with redirect_stderr(io.StringIO()) as said:
        try:
            value, error = function(_shared, task), None
        except DuaError as raised:
            value, error = None, DuaError(str(raised))
    return value, error, said.getvalue()
