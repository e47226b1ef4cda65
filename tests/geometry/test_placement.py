"""The root's place in closed form; that it is the least squares solution is shown in tests/prediction/test_trajectory.py."""

import torch

from common.geometry.placement import closed_form_roots, root_equations


def seen(count=30):
    generator = torch.Generator().manual_seed(0)
    poses = 0.4 * torch.randn(count, 16, 3, generator=generator, dtype=torch.float64)
    roots = torch.randn(count, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, 0, 6])
    points = poses + roots[:, None]
    return poses, roots, points[..., :2] / points[..., 2:]


def test_exact_projections_give_the_place_back():
    poses, roots, rays = seen()
    torch.testing.assert_close(closed_form_roots(poses, rays), roots)


def test_a_joint_of_no_weight_does_not_count():
    poses, roots, rays = seen()
    rays[:, 3] += 1
    weights = torch.ones(30, 16, dtype=torch.float64)
    weights[:, 3] = 0
    found = torch.linalg.solve(*root_equations(poses, rays, weights))
    torch.testing.assert_close(found, roots)
    assert (closed_form_roots(poses, rays) - roots).abs().max() > 0.1


def test_one_ray_for_all_joints_is_no_place_and_no_error():
    poses, _, rays = seen(2)
    rays[0] = 0
    found = closed_form_roots(poses, rays)
    assert not torch.isfinite(found[0]).all()
    assert torch.isfinite(found[1]).all()
