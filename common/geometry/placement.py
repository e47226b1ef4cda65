"""Where a person stands before the camera: the place at which a pose is seen where its 2D joints are.

In a pinhole camera K a joint X_j of a pose that is told from the hip, moved by t, lies on the ray d_j = K^-1 u_j of its pixels u_j, so
the t that brings all joints nearest to their rays,

    min_t  sum_j w_j |(X_j + t) x d_j|^2,

is the hip's place. It is linear in t, three normal equations a pose, and linear in the pose: gradients find their way through it.
"""

import torch
from torch import Tensor

NEAREST = 0.5
"""Metres before the camera: no joint is projected from closer than this, where pixels run to infinity, and no place is nearer."""
FLATTEST = 1e-5
"""Smallest over largest eigenvalue of a pose's equations below which, in float32, they say nothing of its distance."""


def place(poses_3d: Tensor, rays: Tensor, weights: Tensor | None = None, flattest: float = FLATTEST) -> tuple[Tensor, Tensor]:
    """The hip's place, as least squares have it; it can lie behind the camera.

    Args:
        weights: of joints; None for 1 each.
        flattest: as `FLATTEST`, of other numbers: below it all joints are in one place of the picture, or none counts.

    Shape:
        poses_3d (N, J, 3) metres from the hip, camera axes; rays (N, J, 3) of any length; weights (N, J), 0 for a joint that does not
        count -> (N, 3) metres, and (N,) whether the equations say where it is; where they do not, the place is finite and means nothing.
    """
    # |p x d|^2 = p^T (|d|^2 - d d^T) p. As sums and not as matrix products, which may be computed in few digits.
    identity = torch.eye(3).to(rays)
    across = rays.square().sum(-1)[..., None, None] * identity - rays[..., :, None] * rays[..., None, :]  # (N, J, 3, 3)
    if weights is not None:
        across = across * weights[..., None, None]
    left = across.sum(1)
    right = -(across * poses_3d[..., None, :]).sum((1, 3))
    sizes = torch.linalg.eigvalsh(left)  # of zeros, where nothing counts
    known = sizes[:, 0] > flattest * sizes[:, -1]
    left = torch.where(known[:, None, None], left, identity)
    return torch.linalg.solve_ex(left, right[..., None]).result[..., 0], known


def seen_where_placed(poses_3d: Tensor, rays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Poses that stand where least squares have them, and where they are seen.

    Shape:
        poses_3d (N, J, 3) metres from the hip, camera axes; rays (N, J, 3), x/z, y/z, 1 -> joints (N, J, 3) in the camera, (N, J, 2) x/z, y/z of
        these, and (N,) whether the rays say where the person is.
    """
    roots, known = place(poses_3d, rays)
    points = poses_3d + roots[:, None]
    return points, points[..., :2] / points[..., 2:].clamp_min(NEAREST), known
