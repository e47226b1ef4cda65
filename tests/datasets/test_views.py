"""`common.datasets.views`: projection, global alignment and canonical cameras."""

import numpy as np
import pytest
import torch

from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m, load_h36m_2d
from common.datasets.surreal import load_surreal
from common.datasets.views import (
    SPREAD,
    Scale,
    align_roots,
    box_sizes,
    camera_up,
    canonical,
    canonical_rotations,
    project,
    rotation_between,
    screen_intrinsics,
    undistorted,
)
from common.errors import DuaError
from common.evaluation.metrics import mpjpe
from common.geometry.camera import normalize_screen_coordinates, project_to_2d
from common.geometry.h36m_cameras import h36m_cameras


@pytest.fixture(scope="module")
def h36m(demo):
    return load_h36m(demo, subjects=TRAIN_SUBJECTS[:2], downsample=10)


@pytest.fixture(scope="module")
def surreal(demo):
    return load_surreal(demo, "train", downsample=10)


def test_projection_gives_surreals_2d(surreal):
    seen = project(surreal.targets_3d, surreal.roots_3d, screen_intrinsics(surreal.sequences))
    assert (seen - surreal.inputs_2d).abs().max() < 0.501 / 160 + 1e-4  # whole pixels of a picture 320 wide


def test_projection_gives_h36ms_2d_once_the_lens_is_undone(h36m):
    intrinsics = screen_intrinsics(h36m.sequences)
    seen = project(h36m.targets_3d, h36m.roots_3d, intrinsics)
    rays = undistorted(h36m.inputs_2d, h36m.sequences)
    without_lens = rays * intrinsics[:, None, :2] + intrinsics[:, None, 2:]
    inside = h36m.inputs_2d.abs().amax((1, 2)) < 1
    assert (seen - without_lens)[inside].abs().max() < 1e-3
    assert (seen - h36m.inputs_2d)[inside].abs().max() > 5e-3  # so there was something to undo


def test_the_lens_is_undone_at_the_picture_s_edge():
    camera = h36m_cameras("S1")[0]
    rays = np.array([[0.0, 0.0, 1.0], [0.4, -0.4, 1.0], [-0.42, 0.1, 1.0]])
    screen = normalize_screen_coordinates(project_to_2d(rays, camera), *camera.resolution)
    from common.datasets.poses import Sequence

    sequence = Sequence("S1", "Walking", camera.name, 0, 1, camera.resolution)
    found = undistorted(torch.tensor(screen, dtype=torch.float64)[None], (sequence,))
    np.testing.assert_allclose(found[0], rays[:, :2], atol=1e-3)


def test_a_level_camera_has_the_vertical_at_minus_y_and_h36ms_look_down(h36m, surreal):
    assert torch.equal(camera_up(surreal.sequences), torch.tensor([0.0, -1.0, 0.0]).expand(len(surreal), 3))
    up = camera_up(h36m.sequences)
    assert torch.allclose(up.norm(dim=1), torch.ones(len(h36m)), atol=1e-5)
    pitch = torch.rad2deg(torch.atan2(-up[:, 2], -up[:, 1]))
    assert pitch.min() > 5
    assert pitch.max() < 25


def test_aligned_poses_are_seen_in_the_target_s_place_and_size(surreal, h36m):
    count = min(len(surreal), len(h36m))
    order = torch.randperm(len(h36m), generator=torch.Generator().manual_seed(0))[:count]
    inputs_t, intrinsics_t = h36m.inputs_2d[order], screen_intrinsics(h36m.sequences)[order]
    poses = surreal.targets_3d[:count]
    seen = project(poses, align_roots(poses, inputs_t, intrinsics_t), intrinsics_t)
    assert torch.allclose(seen[:, 0], inputs_t[:, 0], atol=1e-5)
    size, wanted = ((p.amax(1) - p.amin(1)).sum(1) for p in (seen, inputs_t))
    assert (size / wanted).median() == pytest.approx(1, abs=0.05)  # perspective moves single joints


def test_rotations_bring_rays_to_the_axis_and_are_rotations():
    rays = torch.tensor([[0.0, 0.0, 1.0], [0.5, -0.2, 1.0], [-1.0, 1.0, 2.0]], dtype=torch.float64)
    rotations = rotation_between(rays, (0.0, 0.0, 1.0))
    turned = torch.einsum("nij,nj->ni", rotations, rays / rays.norm(dim=1, keepdim=True))
    assert torch.allclose(turned, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(3, 3))
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(3, dtype=torch.float64))
    assert torch.allclose(rotations @ rotations.mT, torch.eye(3, dtype=torch.float64).expand(3, 3, 3))


def test_canonical_poses_are_what_a_camera_turned_to_the_root_sees(h36m, surreal, demo):
    for poses in (h36m, surreal):
        turned = canonical(poses)
        assert turned.inputs_2d[:, 0].abs().max() < 1e-5
        assert turned.roots_3d[:, :2].norm(dim=1).max() < 0.05  # but for rounding of pixels and of the lens
        assert torch.allclose(turned.roots_3d.norm(dim=1), poses.roots_3d.norm(dim=1), atol=1e-4)
        intrinsics = screen_intrinsics(poses.sequences)
        intrinsics[:, 2:] = 0
        seen = project(turned.targets_3d, turned.roots_3d, intrinsics)
        assert (seen - turned.inputs_2d).abs().median() < 5e-3
        # Errors count the same in turned axes.
        moved = torch.randn(poses.targets_3d.shape, generator=torch.Generator().manual_seed(0)) * 0.1
        rotations = torch.linalg.lstsq(poses.targets_3d[:, 1:], turned.targets_3d[:, 1:]).solution  # (N, 3, 3), row vectors
        turned_guess = (poses.targets_3d + moved) @ rotations
        there = mpjpe(turned_guess, turned.targets_3d)
        assert torch.allclose(there, mpjpe(poses.targets_3d + moved, poses.targets_3d), rtol=1e-2)
    unlabelled = load_h36m_2d(demo, subjects=TRAIN_SUBJECTS[:2], downsample=10)
    assert torch.equal(canonical_rotations(unlabelled.inputs_2d, unlabelled.sequences)[0], canonical(h36m).inputs_2d)


# --- one size -----------------------------------------------------------------------------------------------------------


def test_the_size_of_a_box_is_its_diagonal():
    pose = torch.zeros(1, 16, 2)
    pose[0, 3], pose[0, 5] = torch.tensor([0.3, 0.1]), torch.tensor([0.0, -0.3])
    assert box_sizes(pose).item() == pytest.approx(0.5)  # 0.3 wide, 0.4 high
    assert Scale("box", 0.8)(pose)[0, 3].tolist() == pytest.approx([0.48, 0.16])


@pytest.mark.parametrize("scale", [Scale("box", 0.7), Scale("spread")])
def test_pictures_of_one_size_are_the_same_through_any_lens(surreal, scale):
    inputs = surreal.inputs_2d
    zooms = 0.4 + 2 * torch.rand(len(inputs), 1, 1, generator=torch.Generator().manual_seed(0))
    seen = scale(inputs * zooms)
    torch.testing.assert_close(seen, scale(inputs), atol=1e-5, rtol=0)
    sizes = box_sizes(seen) if scale.kind == "box" else (seen - seen.mean(1, keepdim=True)).square().sum(-1).mean(-1).sqrt()
    torch.testing.assert_close(sizes, torch.full((len(inputs),), scale.size))
    # The root stays on its ray from the picture's middle, and a flipped picture is flipped.
    torch.testing.assert_close(seen * inputs.flip(-1), seen.flip(-1) * inputs, atol=1e-5, rtol=0)


def test_a_scale_is_what_a_run_s_options_say(surreal):
    assert Scale.of({}) == Scale.of({"scale": "none"}) == Scale()
    assert Scale.of({"scale": "spread", "scale_size": None}) == Scale("spread", SPREAD)
    assert Scale.of({"scale": "box", "scale_size": 0.9}) == Scale("box", 0.9)
    assert torch.equal(Scale()(surreal.inputs_2d), surreal.inputs_2d)
    for size in (None, -1, float("nan"), "large"):
        with pytest.raises(DuaError, match="--scale box"):
            Scale.of({"scale": "box", "scale_size": size})
    with pytest.raises(DuaError, match="--scale sphere"):
        Scale.of({"scale": "sphere"})
