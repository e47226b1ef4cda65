"""Orientations, places and poses of people, as they are drawn from: state of a training that checkpoints keep; nothing of it is learnt. Its name
is older than the poses in it."""

from typing import Any

import torch
from torch import Tensor, nn


class ViewPool(nn.Module):
    """Of each pose of a sample: how its trunk is turned, where it stands, how it holds its limbs, and whether it may be drawn. New, it is empty.

    Attributes:
        rotations: (M, 3, 3) from the trunk's axes to the camera's.
        roots: (M, 3) camera axes, in lengths of all the body's bones.
        bones: (M, J, 3) in the trunk's axes, of the length of its own body; None of a pool that holds no poses.
        kept: (M,) False of poses that are not drawn; what stands for them is no matter.

    Args:
        size: M.
        num_joints: of the poses; 0 if it holds none.
    """

    rotations: Tensor
    roots: Tensor
    bones: Tensor | None
    kept: Tensor

    def __init__(self, size: int, num_joints: int = 0) -> None:
        super().__init__()
        self.size, self.num_joints = size, num_joints
        self.register_buffer("rotations", torch.zeros(size, 3, 3))
        self.register_buffer("roots", torch.zeros(size, 3))
        self.register_buffer("bones", torch.zeros(size, num_joints, 3) if num_joints else None)
        self.register_buffer("kept", torch.zeros(size, dtype=torch.bool))

    def description(self) -> dict[str, Any]:
        """For `models.build`."""
        return {"name": "view_pool", "size": self.size, "num_joints": self.num_joints}

    def fill(self, rotations: Tensor, roots: Tensor, bones: Tensor, kept: Tensor) -> None:
        """Take these in place of what was there."""
        self.rotations.copy_(rotations)
        self.roots.copy_(roots)
        if self.bones is not None:
            self.bones.copy_(bones)
        self.kept.copy_(kept)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) rows, each of those that are kept as often as the next; none of an empty pool."""
        rows = self.kept.nonzero()[:, 0]
        if not len(rows):
            return rows
        return rows[torch.randint(len(rows), (count,), generator=generator).to(rows.device)]
