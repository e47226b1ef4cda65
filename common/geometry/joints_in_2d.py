"""Which joints of a pose are projected: those that are learnt, or those that the target's 2D has, by the converter run backwards.

From Human3.6M to SURREAL, networks learn Human3.6M's joints and are shown SMPL's in the target's 2D. What they predict is projected by the
joints that the 2D has (`--reproject`), and so may be what they learn from (`--target_joints`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.errors import DuaError
from common.geometry.bones import bones_of
from common.geometry.skeleton import ROOT
from models.pose_converter import ASTRAY, PoseConverter

_SMALLEST = 1e-3
"""Of the mean size: what is no body is not enlarged any further."""


JointsIn2D = Callable[[Tensor], Tensor]
"""(N, 16, 3) poses, metres from the root, to the same bodies' joints that are projected."""


def as_they_are(poses_3d: Tensor) -> Tensor:
    return poses_3d


def joints_of_data_set(name: str, networks: Mapping[str, nn.Module]) -> JointsIn2D:
    """Predicted poses to those joints of theirs that a data set's own 2D has: SURREAL's has SMPL's, and networks with a converter predict others.

    Raises:
        DuaError: as `BackToInputs.of`.
    """
    return BackToInputs.of(networks["converter"]) if name == "surreal" and "converter" in networks else as_they_are


@dataclass(frozen=True)
class BackToInputs:
    """The likeliest pose that a converter turned into a given one, of which gradients are taken and none of the converter's.

    A converter is y = x + W x + b and, with M = 1 + W, no bijection: joints of a rigid part go into one. Of its own inputs it knows mean m
    and covariance S, so, with y off by 3 mm, the likeliest x is m + S M^T (M S M^T + e^2)^-1 (y - M m - b). The correction W x + b is its,
    and is taken off y itself: poses that none of those that it was made of is like, dancers' beside walkers', would themselves be drawn
    towards them.

    A body's correction is as large as the body: y is brought to the mean length of bones first, and what is found back from there. Otherwise all
    would have hips of one width, by which a network could tell in a picture how large a body is, and be wrong of every other.

    Attributes:
        layer: (N, 45) -> (N, 45), of bodies of that size.
        size: metres, sum of the bones of the poses that the converter makes: root mean squares, which its moments tell.
    """

    layer: nn.Linear
    size: float

    @classmethod
    @torch.no_grad()
    def of(cls, converter: nn.Module) -> "BackToInputs":
        """Of a trained converter.

        Raises:
            DuaError: it knows no moments of the poses that it was made of.
        """
        assert isinstance(converter, PoseConverter)
        if not converter.knows_its_inputs():
            raise DuaError(
                "the converter was trained from random weights by an older conversion.py, and cannot be run backwards: it does not know the poses "
                "that it was made of; train one anew: python conversion.py --format h36m"
            )
        device, axes, size = converter.weight.device, len(converter.weight), 3 * (converter.num_joints - 1)
        nought = torch.zeros(1, size, device=device)
        matrix = (converter(torch.eye(size, device=device)) - converter(nought)).T.cpu().double()
        mean, covariance = torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
        for axis in range(axes):
            colours = torch.linalg.inv(converter.whitening[axis].cpu().double())
            mean[axis::axes] = converter.mean[axis].cpu().double()
            covariance[axis::axes, axis::axes] = colours @ colours.T
        bias, one = converter(nought)[0].cpu().double(), torch.eye(size, dtype=torch.float64)
        mean_made, covariance_made = matrix @ mean + bias, matrix @ covariance @ matrix.T
        likeliest = torch.linalg.solve(covariance_made + ASTRAY**2 * one, matrix @ covariance).T
        correction = matrix - one  # W
        layer = nn.Linear(size, size)
        layer.weight.copy_(one - correction @ likeliest)
        layer.bias.copy_(-correction @ (mean - likeliest @ mean_made) - bias)
        unit_poses = F.pad(one.unflatten(1, (-1, 3)), (0, 0, ROOT + 1, 0))
        bones = bones_of(unit_poses)[:, ROOT + 1 :].flatten(1).T  # (45, 45), coordinates of joints to those of bones
        squares = bones @ (covariance_made + mean_made.outer(mean_made)) @ bones.T  # of the bones' coordinates
        return cls(layer.to(device).requires_grad_(False), float(squares.diagonal().view(-1, 3).sum(1).sqrt().sum()))

    def __call__(self, poses_3d: Tensor) -> Tensor:
        """(N, 16, 3) metres from the root, to the same, on the device that they came from; the root stays where it is."""
        larger = torch.linalg.vector_norm(bones_of(poses_3d), dim=-1).sum(1, keepdim=True) / self.size
        vectors = poses_3d[:, ROOT + 1 :].flatten(1) / larger.clamp_min(_SMALLEST)
        found = self.layer(vectors.to(self.layer.weight.device)).to(poses_3d.device) * larger
        return torch.cat([poses_3d[:, : ROOT + 1], found.unflatten(1, (-1, 3))], dim=1)
