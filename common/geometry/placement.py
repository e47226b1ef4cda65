"""Where a pose must stand to be seen where its 2D joints are, in closed form.

In a pinhole camera K a joint X_j of a pose, moved by t, lies on the ray d_j = K^-1 u_j of its pixel u_j, so the t that brings all joints
nearest to their rays,

    min_t  sum_j w_j |(X_j + t) x d_j|^2,

is the root's place. It is linear in t: three normal equations a pose.
"""

import torch
from torch import Tensor


def root_equations(poses_3d: Tensor, rays: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The normal equations `left @ t = right`.

    Shape:
        poses_3d (N, J, 3) from the root, camera axes; rays (N, J, 2) x/z, y/z of each joint; weights (N, J), 1 without ->
        (N, 3, 3), (N, 3).
    """
    rays = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    # |p x d|^2 = p^T (|d|^2 - d d^T) p
    across = rays.square().sum(-1)[..., None, None] * torch.eye(3).to(rays) - rays[..., :, None] * rays[..., None, :]
    if weights is not None:
        across = across * weights[..., None, None]
    return across.sum(1), -torch.einsum("njab,njb->na", across, poses_3d)


def closed_form_roots(poses_3d: Tensor, rays: Tensor) -> Tensor:
    """(N, 3) places of the roots, in the unit of the poses; shapes as `root_equations`. Where all rays are one, they are not finite."""
    left, right = root_equations(poses_3d, rays)
    return torch.linalg.solve_ex(left, right[..., None]).result[..., 0]
