"""What is done to a network's inputs and statistics when it is tested; nothing here reads a label."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from common.datasets.poses import Poses
from common.datasets.views import AS_IT_IS, Scale, canonical
from common.errors import DuaError
from common.geometry.skeleton import MIRROR

_CHUNK = 8192


@dataclass(frozen=True)
class TestTime:
    """Options of a test.

    Attributes:
        canonical: inputs are turned onto the optical axis, because the network learnt them so (`--align canonical`).
        flip: predictions are averaged with those of the mirrored inputs (`--tta`).
        batchnorm: BatchNorm's statistics are taken from the inputs of the test (`--test_bn`).
        scale: inputs are brought to one size, because the network learnt them so (`--scale`).
        precision: of the matrix products, one of `common.compute.device.PRECISIONS`; not how the network was trained.
    """

    __test__ = False  # pytest takes it for a test by its name

    canonical: bool = False
    flip: bool = False
    batchnorm: bool = False
    scale: Scale = AS_IT_IS
    precision: str = "float32"

    @classmethod
    def of(cls, arguments: Mapping[str, Any], precision: str = "float32") -> "TestTime":
        """As the options of a run say; runs of experiments without them have none."""
        return cls(
            canonical="canonical" in (arguments.get("align") or ()),
            flip=bool(arguments.get("tta")),
            batchnorm=bool(arguments.get("test_bn")),
            scale=Scale.of(arguments),
            precision=precision,
        )

    def shown(self, poses: Poses) -> Poses:
        """Labelled poses as the network learnt them; the labels are in the axes of what may be turned cameras."""
        poses = canonical(poses) if self.canonical else poses
        return replace(poses, inputs_2d=self.scale(poses.inputs_2d))


PLAIN = TestTime()


def mirrored(poses: Tensor) -> Tensor:
    """(N, 16, 2) screen coordinates or (N, 16, 3) camera-space poses of the mirrored picture, left and right exchanged."""
    exchanged = poses[:, MIRROR]
    return torch.cat([-exchanged[..., :1], exchanged[..., 1:]], dim=-1)


@torch.no_grad()
def adapt_batchnorm(lifter: nn.Module, inputs_2d: Tensor, device: torch.device | str) -> nn.Module:
    """A copy of a network whose BatchNorm statistics are those of `inputs_2d` (N, 16, 2), averaged over large batches.

    Nado et al. 2020, "Evaluating Prediction-Time Batch Normalization for Robustness under Covariate Shift". The network
    stays in evaluation mode otherwise: no dropout.

    Raises:
        DuaError: fewer than two poses have no variance.
    """
    if len(inputs_2d) < 2:
        raise DuaError("--test_bn takes statistics of the poses that are tested, and there is only one; leave it out")
    adapted = copy.deepcopy(lifter).eval()
    norms = [module for module in adapted.modules() if isinstance(module, nn.BatchNorm1d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain average over batches
        norm.train()
    # Frames of a clip are alike: batches are drawn from all clips, in an order that is always the same.
    order = torch.randperm(len(inputs_2d), generator=torch.Generator().manual_seed(0))
    for rows in order.tensor_split(max(1, round(len(order) / _CHUNK))):
        adapted(inputs_2d[rows].to(device))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    return adapted
