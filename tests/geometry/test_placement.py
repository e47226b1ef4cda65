"""The hip's place by least squares, in batches and with gradients; in clips it is tested by `tests/prediction/test_trajectory.py`."""

import torch

from common.geometry.placement import place


def seen(count=20, dtype=torch.float64):
    """(N, 16, 3) poses, (N, 3) roots, (N, 16, 3) rays, of any length, that they are seen on."""
    generator = torch.Generator().manual_seed(3)
    poses = torch.randn(count, 16, 3, generator=generator, dtype=dtype) * 0.4
    poses = poses - poses[:, :1]
    roots = torch.randn(count, 3, generator=generator, dtype=dtype) + torch.tensor([0.0, 0.0, 6.0])
    lengths = torch.rand(count, 16, 1, generator=generator, dtype=dtype) + 0.5
    points = poses + roots[:, None]
    return poses, roots, points / points[..., 2:] * lengths


def test_exact_rays_give_the_place_back_and_joints_without_weight_do_not_count():
    poses, roots, rays = seen()
    weights = torch.ones(20, 16, dtype=torch.float64)
    found, known = place(poses, rays, weights, 1e-8)
    assert known.all()
    torch.testing.assert_close(found, roots)
    torch.testing.assert_close(place(poses.float(), rays.float())[0], roots.float(), atol=1e-4, rtol=0)
    wrong = rays.clone()
    wrong[:, 5, 0] += 0.2
    assert (place(poses, wrong, weights, 1e-8)[0] - roots).norm(dim=1).min() > 1e-3
    weights[:, 5] = 0
    torch.testing.assert_close(place(poses, wrong, weights, 1e-8)[0], roots)


def test_it_grows_with_the_pose_and_carries_gradients():
    poses, roots, rays = seen(4)
    weights = torch.ones(4, 16, dtype=torch.float64)
    torch.testing.assert_close(place(1.3 * poses, rays, weights, 1e-8)[0], 1.3 * roots)
    assert torch.autograd.gradcheck(lambda x: place(x, rays, weights, 1e-8)[0], poses.requires_grad_())


def test_what_says_nothing_is_told_apart_and_spoils_no_gradient():
    poses, roots, rays = seen(3)
    weights = torch.ones(3, 16, dtype=torch.float64)
    rays[0] = torch.tensor([0.1, 0.2, 1.0])  # all joints in one place
    weights[1] = 0
    poses.requires_grad_()
    found, known = place(poses, rays, weights, 1e-8)
    assert known.tolist() == [False, False, True]
    torch.testing.assert_close(found[2], roots[2])
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(poses.grad).all()
