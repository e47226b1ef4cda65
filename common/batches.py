"""Mini-batches cut straight from tensors: no per-sample Python, and the same order whenever a run is taken up again."""

from collections.abc import Iterator

import torch
from torch import Tensor

from common.errors import DuaError


class ShuffledBatches:
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
        if batch_size < 2:
            raise DuaError(f"--batch_size {batch_size}: BatchNorm needs at least 2 poses in a batch")
        if batch_size > len(tensors[0]):
            raise DuaError(f"--batch_size {batch_size} is larger than the {len(tensors[0])} training poses; choose a smaller one")
        self.tensors = tensors
        self.batch_size = batch_size
        self.steps = len(tensors[0]) // batch_size
        self._seed = (seed, stream)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]:
        """Batches `start`, `start` + 1, ... of an epoch."""
        seed, stream = self._seed
        generator = torch.Generator().manual_seed(((seed * 16 + stream) * 1_000_003 + epoch) % 2**63)
        order = torch.randperm(len(self.tensors[0]), generator=generator).to(self.tensors[0].device)
        for step in range(start, self.steps):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield tuple(tensor[rows] for tensor in self.tensors)
