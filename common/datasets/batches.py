"""Mini-batches cut straight from tensors: no per-sample Python, and the same order whenever a run is taken up again."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from common.compute.device import generator_of
from common.errors import DuaError


class StepBatches(ABC):
    """Batches of one data set, any of which can be had by its step (`ShuffledBatches`, `common.datasets.block_batches.BlockBatches`)."""

    batch_size: int
    steps: int
    quality = ""
    """How good the shuffle is, where it is no full one."""

    @abstractmethod
    def at(self, step: int) -> tuple[Tensor, ...]:
        """The batch of a step, counted from the first epoch on."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Batches `start`, `start` + 1, ... of an epoch."""
        for step in range(start, self.steps):
            yield self.at(epoch * self.steps + step)

    def describe(self) -> str:
        """What a log says of the length, and of the shuffle's quality."""
        return "; ".join(filter(None, (f"{self.steps} batches an epoch", self.quality)))


def check_batch_size(batch_size: int, poses: int) -> None:
    """Raise a `DuaError` if batches of that size cannot be cut from so many poses, or cannot be trained on."""
    if batch_size < 2:
        raise DuaError(f"--batch_size {batch_size}: BatchNorm needs at least 2 poses in a batch")
    if batch_size > poses:
        raise DuaError(f"--batch_size {batch_size} is larger than the {poses} training poses; choose a smaller one")


class ShuffledBatches(StepBatches):
    """Every epoch, all rows of some tensors in a new order, `batch_size` at a time.

    The order depends on (seed, stream, epoch) alone, so an epoch can be entered again in its middle. What is left over
    after the last full batch is left out of that epoch: another few rows each time.

    Args:
        tensors: equally long, on the device that trains.
        batch_size: rows per batch.
        seed: of the run.
        stream: tells apart several sources within a run.

    Raises:
        DuaError: the batch is larger than the data, or smaller than the two rows that BatchNorm needs.
    """

    def __init__(self, *tensors: Tensor, batch_size: int, seed: int, stream: int = 0) -> None:
        check_batch_size(batch_size, len(tensors[0]))
        self.tensors = tensors
        self.batch_size = batch_size
        self.steps = len(tensors[0]) // batch_size
        self._seed = (seed, stream)
        self._order: tuple[int, Tensor] | None = None

    def at(self, step: int) -> tuple[Tensor, ...]:
        epoch, place = divmod(step, self.steps)
        if self._order is None or self._order[0] != epoch:
            seed, stream = self._seed
            generator = generator_of((seed * 16 + stream) * 1_000_003 + epoch)
            order = torch.randperm(len(self.tensors[0]), generator=generator)
            self._order = epoch, order.to(self.tensors[0].device)
        rows = self._order[1][place * self.batch_size : (place + 1) * self.batch_size]
        return tuple(tensor.index_select(0, rows) for tensor in self.tensors)


class DomainBatches:
    """Batches of a source and of a target side by side: (source's tensors ..., target's tensors ...).

    An epoch is one pass over the longer of the two; the shorter begins anew, in a new order, as often as it takes.
    """

    def __init__(self, source: StepBatches, target: StepBatches) -> None:
        self.source = source
        self.target = target
        self.batch_size = source.batch_size
        self.steps = max(source.steps, target.steps)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Batches `start`, `start` + 1, ... of an epoch."""
        for step in range(epoch * self.steps + start, (epoch + 1) * self.steps):
            yield (*self.source.at(step), *self.target.at(step))

    def describe(self) -> str:
        """What a log says of the two lengths."""
        s, t = self.source.steps, self.target.steps
        shuffles = (("source", self.source.quality), ("target", self.target.quality))
        qualities = "".join(f"; {name}: {quality}" for name, quality in shuffles if quality)
        return f"{self.steps} batches an epoch; passes in it: source {self.steps / s:.2f}, target {self.steps / t:.2f}{qualities}"
