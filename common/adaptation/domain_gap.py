"""How far two domains are apart: bodies and cameras, the two skeletons of one body, and what a network makes of both."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.datasets.poses import Poses
from common.datasets.smpl import PosePairs
from common.datasets.views import camera_up
from common.evaluation.losses import mkmmd
from common.evaluation.metrics import joint_errors
from common.geometry.skeleton import ROOT
from models.domain_norm import select_domain
from models.pose_converter import PoseConverter

_LIMBS = {"thigh": (1, 2), "shin": (2, 3), "upper arm": (13, 14), "forearm": (14, 15), "hip to hip": (1, 4)}
_SAMPLE = 1000
_CHUNK = 8192


def quantities(poses: Poses) -> dict[str, Tensor]:
    """{name and unit: (N,)} of what differs between domains: where and how large bodies are seen, cameras, limbs.

    2D is in screen coordinates, half a picture's width being 1. All but the first four need labels.
    """
    assert poses.roots_3d is not None
    boxes = poses.inputs_2d.amax(1) - poses.inputs_2d.amin(1)
    up = camera_up(poses.sequences)
    values = {
        "2D height of the body": boxes[:, 1],
        "2D width of the body": boxes[:, 0],
        "2D root, x": poses.inputs_2d[:, ROOT, 0],
        "2D root, y": poses.inputs_2d[:, ROOT, 1],
        "root depth, m": poses.roots_3d[:, 2],
        "camera pitch, deg down": torch.rad2deg(torch.atan2(-up[:, 2], -up[:, 1])),
    }
    for name, (a, b) in _LIMBS.items():
        values[f"{name}, mm"] = 1000 * (poses.targets_3d[:, a] - poses.targets_3d[:, b]).norm(dim=-1)
    return values


@torch.no_grad()
def misalignment(pairs: PosePairs, converter: nn.Module) -> tuple[Tensor, Tensor]:
    """(16,) mean millimetres between the two skeletons' joints, before and after SMPL's pass through the converter."""
    assert isinstance(converter, PoseConverter)
    before = joint_errors(pairs.smpl, pairs.h36m).mean(0) * 1000
    after = joint_errors(converter.convert(pairs.smpl), pairs.h36m).mean(0) * 1000
    return before, after


@torch.no_grad()
def lifted(networks: Mapping[str, nn.Module], inputs_2d: Tensor, domain: str) -> tuple[Tensor, Tensor]:
    """(N, 16, 3) poses and (N, F) features, the lifting network's input of its last layer, of (N, 16, 2); on the CPU.

    Args:
        domain: whose BatchNorm statistics are used, 'source' or 'target', of a network that has both.
    """
    lifter = networks["lifter"]
    select_domain(lifter, domain)
    device = next(lifter.parameters()).device
    poses, features = zip(*(lifter(chunk.to(device)) for chunk in inputs_2d.split(_CHUNK)), strict=True)
    return torch.cat(poses).cpu(), torch.cat(features).flatten(1).cpu()


def sampled(values: Tensor, size: int = _SAMPLE) -> Tensor:
    """At most `size` rows of (N, ...), drawn by a fixed seed."""
    return values[torch.randperm(len(values), generator=torch.Generator().manual_seed(0))[:size]]


def distance(a: Tensor, b: Tensor) -> float:
    """MK-MMD (`common.evaluation.losses`) x 1000 between samples of (N, ...) and (M, ...).

    Its kernels are as wide as the two sets together, so that units do not matter and networks compare. Unbiased: of two sets of
    one kind it is about 0.
    """
    return 1000 * float(mkmmd(sampled(a).flatten(1), sampled(b).flatten(1)))


def principal_plane(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, float]:
    """(N, 2) and (M, 2): both sets on the two axes along which they vary most together, and the share of variance there."""
    mean = torch.cat([a, b]).mean(0)
    _, deviations, axes = torch.linalg.svd(torch.cat([a, b]) - mean, full_matrices=False)
    axes = axes[:2] * torch.sign(axes[:2].sum(1, keepdim=True))  # else their direction would be the library's whim
    share = float((deviations[:2] ** 2).sum() / (deviations**2).sum())
    return (a - mean) @ axes.T, (b - mean) @ axes.T, share
