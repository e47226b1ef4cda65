"""How far two domains are apart: bodies and cameras, the two skeletons of one body, and what a network makes of both."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.datasets.poses import Poses
from common.datasets.smpl import PosePairs
from common.datasets.views import camera_up
from common.evaluation.losses import mkmmd
from common.evaluation.metrics import joint_errors
from common.geometry.skeleton import BONES, JOINT_NAMES, ROOT
from common.geometry.torso import torso_frames
from models.domain_norm import select_domain
from models.pose_converter import PoseConverter

_THORAX = JOINT_NAMES.index("Thorax")
_LIMBS = {"thigh": (1, 2), "shin": (2, 3), "upper arm": (13, 14), "forearm": (14, 15), "hip to hip": (1, 4)}
_BENDS = {
    "knee bent": ((1, 2, 3), (4, 5, 6)),
    "hip bent": ((_THORAX, 1, 2), (_THORAX, 4, 5)),
    "elbow bent": ((13, 14, 15), (10, 11, 12)),
}
_WRISTS = [12, 15]
_UPRIGHT = 45.0
_SAMPLE = 1000
_HALF, _DRAWS = 500, 10
_RIDGE = 1e-3
_CHUNK = 8192


def quantities(poses: Poses) -> dict[str, Tensor]:
    """{name and unit: (N,)} of what differs between domains: where and how large bodies are seen, cameras, limbs, and how people move.

    2D is in screen coordinates, half a picture's width being 1. All but the first four need labels. A joint that is straight is bent
    by 0 degrees; of two sides the more bent one counts. Reach is how far the farther wrist is from the thorax. Somebody is upright
    whose trunk leans by less than 45 degrees.
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
    for name, sides in _BENDS.items():
        values[f"{name}, deg"] = torch.stack([_bend(*(poses.targets_3d[:, joint] for joint in side)) for side in sides]).amax(0)
    values["reach, mm"] = 1000 * (poses.targets_3d[:, _WRISTS] - poses.targets_3d[:, [_THORAX]]).norm(dim=-1).amax(1)
    lean = torch.rad2deg(_angle(poses.targets_3d[:, _THORAX], up))
    values["lean of the trunk, deg"] = lean
    values["not upright, %"] = 100 * (lean >= _UPRIGHT).float()
    return values


def _bend(before: Tensor, joint: Tensor, after: Tensor) -> Tensor:
    """(N,) degrees by which a limb through three (N, 3) joints is bent at the middle one."""
    return torch.rad2deg(_angle(joint - before, after - joint))


def _angle(a: Tensor, b: Tensor) -> Tensor:
    """(N,) radians between (N, 3) and (N, 3)."""
    return torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1))


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


def sampled(values: Tensor, size: int = _SAMPLE, seed: int = 0) -> Tensor:
    """At most `size` rows of (N, ...), drawn by a fixed seed."""
    return values[torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))[:size]]


def distance(a: Tensor, b: Tensor) -> float:
    """MK-MMD (`common.evaluation.losses`) x 1000 between samples of (N, ...) and (M, ...).

    Its kernels are as wide as the two sets together, so that units do not matter and networks compare. Unbiased: of two sets of
    one kind it is about 0.
    """
    return 1000 * float(mkmmd(sampled(a).flatten(1), sampled(b).flatten(1)))


def bone_directions(poses_3d: Tensor) -> Tensor:
    """(N, 15, 3) unit vectors along the bones of (N, 16, 3) poses of any unit, seen from their trunks (`torso_frames`).

    What is left of a pose without where it stands, which way it faces or leans, how large it is and how long its limbs are.
    """
    bones = torch.stack([poses_3d[:, child] - poses_3d[:, parent] for parent, child in BONES], dim=1)
    return F.normalize(bones, dim=-1) @ torso_frames(poses_3d)


@dataclass(frozen=True)
class PoseGap:
    """MK-MMD x 1000 between halves of the clips of two domains, and, as a yardstick, between the halves of each, over several draws.

    Shape:
        between, within_a, within_b (D,).
    """

    between: Tensor
    within_a: Tensor
    within_b: Tensor

    @property
    def added(self) -> Tensor:
        """(D,) by how much the domains differ more than halves of one domain do; about 0 if both show clips of one kind."""
        return self.between - (self.within_a + self.within_b) / 2


def pose_gap(a: Tensor, b: Tensor, clips_a: Tensor, clips_b: Tensor, draws: int = _DRAWS) -> PoseGap:
    """How far the poses (N, 16, 3) and (M, 16, 3) of two domains are apart, as `bone_directions`; both in one skeleton.

    Poses of a clip are alike, so that sets of few clips are apart for that alone. Halves of the clips against halves of the clips are
    so by chance as much on average between domains as within them, and what is `added` is the domains'.

    Args:
        clips_a, clips_b: (N,) and (M,) number of the clip of each row.

    Raises:
        ValueError: a domain has but one clip.
    """
    sets = [bone_directions(poses).flatten(1) for poses in (a, b)]
    # One scale for all distances, without which they would not compare: the mean squared distance between any two poses.
    width = torch.pdist(torch.cat([sampled(rows) for rows in sets])).square().mean()
    found = torch.empty(draws, 3)
    for draw in range(draws):
        # Each domain by seeds of its own: where both have the same list of movements, its halves would otherwise be of the same ones.
        halves = []
        for seed, rows, clips in zip((2 * draw, 2 * draw + 1), sets, (clips_a, clips_b), strict=True):
            half = _half_of_clips(clips, seed)
            halves.append([sampled(rows[side], _HALF, seed) for side in (half, ~half)])
        (a1, a2), (b1, b2) = halves
        pairs = ((a1, b1), (a1, a2), (b1, b2))
        found[draw] = torch.stack([1000 * mkmmd(x, y, width) for x, y in pairs])
    return PoseGap(*found.unbind(1))


def a_distance(a: Tensor, b: Tensor, clips_a: Tensor, clips_b: Tensor) -> float:
    """Proxy A-distance of (N, F) and (M, F), 2 (1 - 2 e) in [0, 2] (Ben-David et al. 2007): e is how often a linear classifier, which
    learnt on half of the clips of each domain, mistakes the domain of the others'. 0: it cannot tell; 2: it always can.

    Neighbouring frames are nearly alike, so that frames of one clip on both sides would be recognised, and not their domain.
    Features are brought to mean 0 and standard deviation 1 of the learnt half; both domains weigh the same, whatever their sizes.

    Args:
        clips_a, clips_b: (N,) and (M,) number of the clip of each row.

    Raises:
        ValueError: a domain has but one clip.
    """
    halves = [_half_of_clips(clips) for clips in (clips_a, clips_b)]
    learnt = [rows[half].double() for rows, half in zip((a, b), halves, strict=True)]
    judged = [rows[~half].double() for rows, half in zip((a, b), halves, strict=True)]
    mean, spread = torch.cat(learnt).mean(0), torch.cat(learnt).std(0).clamp(min=1e-6)
    weight = torch.zeros(a.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def scores(rows: Tensor) -> Tensor:
        return (rows - mean) / spread @ weight + bias

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = sum(F.softplus(-sign * scores(rows)).mean() for sign, rows in zip((1, -1), learnt, strict=True))
        value = value + _RIDGE * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        wrong = sum(float((sign * scores(rows) <= 0).double().mean()) for sign, rows in zip((1, -1), judged, strict=True)) / 2
    return max(0.0, 2 * (1 - 2 * wrong))


def _half_of_clips(clips: Tensor, seed: int = 0) -> Tensor:
    """Whether each row is of a clip of the first half, drawn by a fixed seed."""
    names, numbers = clips.unique(return_inverse=True)
    if len(names) < 2:
        raise ValueError("halves of the clips are compared, so two clips of each domain are needed")
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed))
    return (order < len(names) // 2)[numbers]


def clip_numbers(poses: Poses) -> Tensor:
    """(N,) of each pose the number of its clip, the same for all cameras that saw it."""
    numbers = {clip: number for number, clip in enumerate(dict.fromkeys(sequence.clip for sequence in poses.sequences))}
    found = torch.zeros(len(poses), dtype=torch.long)
    for sequence in poses.sequences:
        found[sequence.start : sequence.stop] = numbers[sequence.clip]
    return found


def principal_plane(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, float]:
    """(N, 2) and (M, 2): both sets on the two axes along which they vary most together, and the share of variance there."""
    mean = torch.cat([a, b]).mean(0)
    _, deviations, axes = torch.linalg.svd(torch.cat([a, b]) - mean, full_matrices=False)
    axes = axes[:2] * torch.sign(axes[:2].sum(1, keepdim=True))  # else their direction would be the library's whim
    share = float((deviations[:2] ** 2).sum() / (deviations**2).sum())
    return (a - mean) @ axes.T, (b - mean) @ axes.T, share
