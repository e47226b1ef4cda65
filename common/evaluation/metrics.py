"""Errors of 3D poses, pose by pose. Metres in, metres out; millimetres appear only where a person reads.

Every function takes poses centred on the hip, predicted and target (N, J, 3), and averages over all J joints, the hip
(whose error is 0) included: that is how Martinez, SemGCN and VideoPose3D count, and what makes figures comparable.

Where not every joint of a target is known, `counted` (N, J) says which are: at least one of each pose. The others have no say, in means
as in scales and alignments, and may be NaN.
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


def mpjpe(predicted: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    """(N,) mean per-joint position error, "protocol 1"."""
    errors = joint_errors(predicted, target)
    if counted is None:
        return errors.mean(dim=-1)
    return errors.masked_fill(~counted, 0).sum(dim=-1) / counted.sum(dim=-1)


def p_mpjpe(predicted: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    """(N,) MPJPE after the best rotation, translation and scale of each pose, "protocol 2"."""
    return mpjpe(procrustes_align(predicted, target, counted), target, counted)


def n_mpjpe(predicted: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    """(N,) MPJPE after the best scale of each pose (Rhodin et al. 2018)."""
    x, y = (predicted, target) if counted is None else (_only(counted, predicted), _only(counted, target))
    scale = torch.sum(x * y, dim=(1, 2)) / torch.sum(x**2, dim=(1, 2)).clamp_min(_TINY)
    return mpjpe(scale[:, None, None] * predicted, target, counted)


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


def procrustes_align(predicted: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    """Each predicted pose moved, turned and scaled onto its target (orthogonal Procrustes, Schoenemann 1966; Kabsch).

    The rotation is proper: where the best orthogonal map is a reflection, the smallest singular direction is flipped. A
    prediction whose joints all coincide has no size to scale and comes to lie on the target's centre.

    Shape:
        (N, J, 3), (N, J, 3) -> (N, J, 3), computed in float64. With `counted` all joints are moved, those that are not counted as
        the others say.
    """
    if predicted.device.type == "mps":  # Metal has neither float64 nor batched SVD
        known = None if counted is None else counted.cpu()
        return procrustes_align(predicted.cpu(), target.cpu(), known).to(predicted.device)
    parts = [predicted, target] if counted is None else [predicted, target, counted]
    return torch.cat([_align(*chunk) for chunk in zip(*(part.split(_CHUNK) for part in parts), strict=True)])


_CHUNK = 4096
"""Poses that are aligned at a time on their way through a processor's cache."""
_WELL_POSED = 1e-3
_NEWTON_STEPS = 12


def _align(predicted: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
    x, y = target.double(), predicted.double()
    if counted is None:
        mean_x, mean_y = x.mean(dim=1, keepdim=True), y.mean(dim=1, keepdim=True)
        x, y = x - mean_x, y - mean_y
        moved = y
    else:
        known = counted.sum(dim=1)[:, None, None]
        mean_x, mean_y = (_only(counted, part).sum(dim=1, keepdim=True) / known for part in (x, y))
        moved = y - mean_y
        x, y = _only(counted, x - mean_x), _only(counted, moved)
    covariance = y.transpose(1, 2) @ x  # (N, 3, 3): y R ~ x
    rotation, trace, certain = _rotation_closed(covariance)
    if not bool(certain.all()):
        rotation[~certain], trace[~certain] = _rotation_svd(covariance[~certain])
    size = torch.sum(y**2, dim=(1, 2))
    scale = torch.where(size > _TINY, trace / size.clamp_min(_TINY), torch.zeros_like(size))
    return (moved @ (scale[:, None, None] * rotation) + mean_x).to(predicted.dtype)


def _only(counted: Tensor, poses: Tensor) -> Tensor:
    """(N, J, 3) with 0 for the joints that are not counted (N, J)."""
    return poses.masked_fill(~counted[..., None], 0)


def _rotation_closed(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotations R (N, 3, 3) that make l = tr(R^T M) largest for each M (N, 3, 3), those l (N,), and whether they can be trusted.

    With |M| = 1, l is the largest root of p(l, M) = l^4 - 2 l^2 - 8 det(M) l + 1 - 4 |cof M|^2, the characteristic polynomial of Horn's 4 x 4
    matrix ("Closed-form solution of absolute orientation using unit quaternions", JOSA A 1987), and Newton's method comes down to
    it from above (Theobald, "Rapid calculation of RMSDs", Acta Cryst. A 2005). As l is a maximum over R, its derivative with
    respect to M is R itself, so that R follows from p without an eigenvector: R = -(dp/dM) / (dp/dl).

    dp/dl is 8 (s1 + s2) (s1 + s3) (s2 + s3), with s3 negative where a reflection would fit better: it vanishes where all joints lie on
    a line or coincide, or where the rotation is otherwise not unique. Near that nothing here can be trusted.
    """
    norm = torch.linalg.vector_norm(covariance, dim=(1, 2))
    m = covariance / norm.clamp_min(_TINY)[:, None, None]
    rows = m.unbind(1)
    cofactors = torch.stack([torch.linalg.cross(rows[i - 2], rows[i - 1]) for i in range(3)], dim=1)
    determinant = torch.sum(rows[0] * cofactors[:, 0], dim=1)
    constant = 1 - 4 * torch.sum(cofactors**2, dim=(1, 2))
    largest = torch.full_like(norm, 3**0.5)  # s1 + s2 + s3 cannot be more where the sum of their squares is 1
    for _ in range(_NEWTON_STEPS):
        square = largest**2
        value = (square - 2) * square - 8 * determinant * largest + constant
        slope = 4 * (square - 1) * largest - 8 * determinant
        step = value / slope
        largest = largest - step
    numerator = (largest**2 + 1)[:, None, None] * m + 2 * largest[:, None, None] * cofactors - 2 * m @ (m.transpose(1, 2) @ m)
    slope = 4 * (largest**2 - 1) * largest - 8 * determinant
    certain = (slope > _WELL_POSED) & (step.abs() < 1e-9) & (norm > _TINY)
    return numerator / (slope / 4)[:, None, None], largest * norm, certain


def _rotation_svd(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """As `_rotation_closed`, of any matrices, and much slower."""
    u, singular, vt = torch.linalg.svd(covariance)
    reflected = torch.sign(torch.linalg.det(u @ vt))
    reflected = torch.where(reflected == 0, torch.ones_like(reflected), reflected)
    flip = torch.stack([torch.ones_like(reflected), torch.ones_like(reflected), reflected], dim=-1)  # (N, 3)
    return (u * flip[:, None, :]) @ vt, torch.sum(singular * flip, dim=-1)
