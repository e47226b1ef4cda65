"""Orientations and places of people, as they are drawn from: state of a training that checkpoints keep; nothing of it is learnt."""

import torch
from torch import Tensor, nn


class ViewPool(nn.Module):
    """Of each pose of a sample: how its trunk is turned, where it stands, and whether it may be drawn. New, it is empty.

    Attributes:
        rotations: (M, 3, 3) from the trunk's axes to the camera's.
        roots: (M, 3) camera axes, in lengths of all the body's bones.
        kept: (M,) False of poses that are not drawn; what stands for them is no matter.

    Args:
        size: M.
    """

    rotations: Tensor
    roots: Tensor
    kept: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("rotations", torch.zeros(size, 3, 3))
        self.register_buffer("roots", torch.zeros(size, 3))
        self.register_buffer("kept", torch.zeros(size, dtype=torch.bool))

    def fill(self, rotations: Tensor, roots: Tensor, kept: Tensor) -> None:
        """Take these in place of what was there."""
        self.rotations.copy_(rotations)
        self.roots.copy_(roots)
        self.kept.copy_(kept)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) rows, each of those that are kept as often as the next; none of an empty pool."""
        rows = self.kept.nonzero()[:, 0]
        if not len(rows):
            return rows
        return rows[torch.randint(len(rows), (count,), generator=generator).to(rows.device)]
