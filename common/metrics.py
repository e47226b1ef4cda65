"""Errors of 3D poses, pose by pose. Metres in, metres out; millimetres appear only where a person reads.

Every function takes poses centred on the hip, predicted and target (N, J, 3), and averages over all J joints, the hip
(whose error is 0) included: that is how Martinez, SemGCN and VideoPose3D count, and what makes figures comparable.
"""

import torch
from torch import Tensor

PCK_THRESHOLD = 0.150
"""Metres: a joint nearer than this is correct (MPI-INF-3DHP, Mehta et al. 2017)."""
AUC_THRESHOLDS = tuple(0.005 * step for step in range(31))
"""0, 5, ..., 150 mm, as MPI-INF-3DHP's evaluation takes them."""

_TINY = 1e-12


def joint_errors(predicted: Tensor, target: Tensor) -> Tensor:
    """(N, J) Euclidean distances."""
    return torch.linalg.vector_norm(predicted - target, dim=-1)


def mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """(N,) mean per-joint position error, "protocol 1"."""
    return joint_errors(predicted, target).mean(dim=-1)


def p_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """(N,) MPJPE after the best rotation, translation and scale of each pose, "protocol 2"."""
    return mpjpe(procrustes_align(predicted, target), target)


def n_mpjpe(predicted: Tensor, target: Tensor) -> Tensor:
    """(N,) MPJPE after the best scale of each pose (Rhodin et al. 2018)."""
    scale = torch.sum(predicted * target, dim=(1, 2)) / torch.sum(predicted**2, dim=(1, 2)).clamp_min(_TINY)
    return mpjpe(scale[:, None, None] * predicted, target)


def pck(predicted: Tensor, target: Tensor, threshold: float = PCK_THRESHOLD) -> Tensor:
    """(N,) share of joints nearer than `threshold` metres to their target."""
    return (joint_errors(predicted, target) < threshold).to(predicted.dtype).mean(dim=-1)


def auc(predicted: Tensor, target: Tensor) -> Tensor:
    """(N,) mean of PCK over `AUC_THRESHOLDS`."""
    errors = joint_errors(predicted, target)
    total = torch.zeros_like(errors)
    for threshold in AUC_THRESHOLDS:
        total += errors < threshold
    return total.mean(dim=-1) / len(AUC_THRESHOLDS)


def procrustes_align(predicted: Tensor, target: Tensor) -> Tensor:
    """Each predicted pose moved, turned and scaled onto its target (orthogonal Procrustes, Schoenemann 1966; Kabsch).

    The rotation is proper: where the best orthogonal map is a reflection, the smallest singular direction is flipped. A
    prediction whose joints all coincide has no size to scale and comes to lie on the target's centre.

    Shape:
        (N, J, 3), (N, J, 3) -> (N, J, 3), computed in float64.
    """
    x = target.double()
    y = predicted.double()
    if x.device.type == "mps":  # Metal has neither float64 nor batched SVD
        return procrustes_align(predicted.cpu(), target.cpu()).to(predicted.device)
    mean_x, mean_y = x.mean(dim=1, keepdim=True), y.mean(dim=1, keepdim=True)
    x, y = x - mean_x, y - mean_y
    u, singular, vt = torch.linalg.svd(y.transpose(1, 2) @ x)  # (N, 3, 3): y R ~ x
    reflected = torch.sign(torch.linalg.det(u @ vt))
    reflected = torch.where(reflected == 0, torch.ones_like(reflected), reflected)
    flip = torch.stack([torch.ones_like(reflected), torch.ones_like(reflected), reflected], dim=-1)  # (N, 3)
    rotation = (u * flip[:, None, :]) @ vt
    size = torch.sum(y**2, dim=(1, 2))
    scale = torch.where(size > _TINY, torch.sum(singular * flip, dim=-1) / size.clamp_min(_TINY), torch.zeros_like(size))
    return (scale[:, None, None] * (y @ rotation) + mean_x).to(predicted.dtype)
