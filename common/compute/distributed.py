"""One run in several processes, as `torchrun` starts them; without it there is one process, and nothing here does anything.

Every process makes the whole batch, the same everywhere, and computes its share of it (`share`); what is counted over a batch
is counted over all shares (`common.compute.synced`). So `--batch_size` is the run's, however many processes there are, and a run
that was stopped can go on with another number of them. Process 0 alone prints and writes files.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from common.errors import DuaError, one_line

T = TypeVar("T")
P = ParamSpec("P")

_TIMEOUT = timedelta(hours=2)
"""Of waiting for each other. A process that ends is noticed at once; this is for one that trains a converter meanwhile."""

_store: dist.Store | None = None
"""Torchrun's own, which outlives the processes: those of a later attempt find in it what earlier ones left."""

_groups: list[dist.ProcessGroup] = []
"""Kept to the end: a group that ends with its last `DistributedDataParallel` waits for its threads without letting them have
Python's lock, which they may be waiting for."""

_CPU = torch.device("cpu")
_FAILED, _WHY = "dua/failed", "dua/why"


def world_size() -> int:
    """How many processes share the run."""
    return dist.get_world_size() if _store is not None else 1


def rank() -> int:
    """Which of them this is."""
    return dist.get_rank() if _store is not None else 0


def is_main() -> bool:
    """Whether this is the process that prints and writes."""
    return rank() == 0


def local_rank() -> int:
    """Which of the processes on this machine this is."""
    return int(os.environ.get("LOCAL_RANK", 0)) if _store is not None else 0


def run_together(main: Callable[[], None]) -> None:
    """Run `main` as one of torchrun's processes: they end together, with one line of what went wrong.

    A `DuaError` in any process is said by the first that has one; all leave with exit code 2, and when torchrun starts them
    again (`--max_restarts`), they leave at once: what is wrong with an input does not mend itself. A process whose peers are
    gone leaves with exit code 1. Torchrun reports of them in forty lines of its own, in the last of which ours stands once more.
    """
    store = _torchrun_store()
    if store.check([_FAILED]):
        _tell_torchrun(store.get(_WHY).decode())
        raise SystemExit(2)
    # Torchrun counts attempts; when machines join or leave, only the number of processes changes.
    attempt = f"dua/attempt_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}_{os.environ['WORLD_SIZE']}"
    with joined(store, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), attempt):
        try:
            main()
            sys.stdout.flush()
        except (DuaError, OSError) as error:
            _tell_torchrun(str(error))
            store.set(_WHY, str(error))
            if store.add(_FAILED, 1) > 1:
                raise SystemExit(2) from None  # it is being said
            raise
        except KeyboardInterrupt:
            if is_main():
                raise
            raise SystemExit(130) from None
        except RuntimeError as error:
            if not _peer_is_gone(error):
                raise
            if store.check([_FAILED]):
                _tell_torchrun(store.get(_WHY).decode())
                raise SystemExit(2) from None
            print(f"process {rank()}: another process of the run is gone ({str(error).splitlines()[0][:200]})", file=sys.stderr)
            raise SystemExit(1) from None


def _tell_torchrun(why: str) -> None:
    """Leave what went wrong where torchrun's report of processes that ended looks for it, in its own layout."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path:
        line = f"error: {one_line(why)}"
        message = {"message": line, "extraInfo": {"py_callstack": line, "timestamp": str(int(time.time()))}}
        with suppress(OSError):  # it is told already
            Path(path).write_text(json.dumps({"message": message}))


@contextmanager
def joined(store: dist.Store, rank: int, world_size: int, name: str = "dua") -> Iterator[None]:
    """Be process `rank` of `world_size` while this is open; they meet in `store`, under `name`."""
    global _store
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        meeting = dist.PrefixStore(name, store)
        dist.init_process_group(backend, store=meeting, rank=rank, world_size=world_size, timeout=_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise DuaError(f"the run's processes do not reach each other: {str(error).splitlines()[0]}") from error
    _store = store
    assert dist.group.WORLD is not None
    _groups.append(dist.group.WORLD)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stdout if is_main() else nowhere):
            yield
    finally:
        _store = None
        dist.destroy_process_group()


def _torchrun_store() -> dist.Store:
    try:
        kept = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return dist.TCPStore(address, port, is_master=not kept and os.environ["RANK"] == "0", timeout=_TIMEOUT)
    except (KeyError, ValueError, RuntimeError) as error:
        raise DuaError(
            f"torchrun's environment is incomplete or its store out of reach ({error!r}); start with torchrun"
        ) from error


def _peer_is_gone(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "Connection closed", "NCCL"))


def alone() -> dict[str, str]:
    """The environment of a script that one of the processes starts: it is none of them."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    return {name: value for name, value in os.environ.items() if name not in names and not name.startswith("TORCHELASTIC_")}


def main_only(function: Callable[P, None]) -> Callable[P, None]:
    """Decorates what writes a file that all processes would write alike: process 0 alone does it."""

    @functools.wraps(function)
    def if_main(*args: P.args, **kwargs: P.kwargs) -> None:
        if is_main():
            function(*args, **kwargs)

    return if_main


def from_main(action: Callable[[], T]) -> T:
    """What `action` returns in process 0, which alone runs it while the others wait; its `DuaError` is raised in all."""
    if world_size() == 1:
        return action()
    told: list = [None, None]
    if is_main():
        try:
            told = [action(), None]
        except DuaError as error:
            told = [None, str(error)]
    dist.broadcast_object_list(told, device=_CPU)
    if told[1] is not None:
        raise DuaError(told[1])
    return told[0]


def wait_for_all() -> None:
    """Go on when all processes have come here, so that what process 0 wrote before is there."""
    if world_size() > 1:
        dist.all_reduce(torch.zeros(1))  # on the CPU, unlike `dist.barrier` where there are GPUs


def any_of(flag: bool) -> bool:
    """Whether it is true in any process; the same answer for all."""
    if world_size() == 1:
        return flag
    told = torch.tensor(float(flag))
    dist.all_reduce(told)
    return bool(told)


def share(batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """This process's rows of every tensor of a batch; `check_shares` saw to it that all have as many."""
    return tuple(tensor[slice(*_bounds(len(tensor)))] for tensor in batch)


def check_shares(batch_size: int) -> None:
    """Raise a `DuaError` unless the processes get equal shares of a batch."""
    if batch_size % world_size():
        raise DuaError(f"--batch_size {batch_size} is not shared evenly by {world_size()} processes; choose a multiple of that")


def map_rows(function: Callable[[Tensor], Mapping[str, Tensor]], rows: Tensor) -> dict[str, Tensor]:
    """`function(rows)`, a tensor on the CPU with as many rows by each name, of which every process computes a share."""
    if len(rows) < world_size() or world_size() == 1:  # no share is empty: layers need a row
        return dict(function(rows))
    most = -(-len(rows) // world_size())
    gathered = {}
    for name, own in function(rows[slice(*_bounds(len(rows)))]).items():
        padded = own.new_zeros(most, *own.shape[1:])  # the processes send equally much
        padded[: len(own)] = own
        everywhere = [torch.empty_like(padded) for _ in range(world_size())]
        dist.all_gather(everywhere, padded)
        gathered[name] = torch.cat([part[: stop - start] for part, (start, stop) in zip(everywhere, _all_bounds(len(rows)))])
    return gathered


def _bounds(count: int) -> tuple[int, int]:
    return _all_bounds(count)[rank()]


def _all_bounds(count: int) -> list[tuple[int, int]]:
    """First row and end of each process's share; shares differ by a row at most."""
    edges = [count * i // world_size() for i in range(world_size() + 1)]
    return list(pairwise(edges))


def remember(what: str, path: Path) -> None:
    """Keep a path for a later attempt of this launch, should a process die."""
    if _store is not None and is_main():
        _store.set(f"dua/{what}", str(path))


def remembered(what: str) -> Path | None:
    """The path that an earlier attempt of this launch kept, or None; all processes ask together."""

    def look() -> Path | None:
        return Path(_store.get(f"dua/{what}").decode()) if _store is not None and _store.check([f"dua/{what}"]) else None

    return from_main(look)


def launcher() -> str:
    """What this process was started with, for a command that a person is told."""
    return "python" if world_size() == 1 else f"torchrun --nproc_per_node={os.environ.get('LOCAL_WORLD_SIZE', world_size())}"
