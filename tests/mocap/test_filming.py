"""Any camera: within what is promised, and seen as it says."""

import math

import numpy as np
import pytest
import torch

from common.datasets.views import camera_of, project, screen_intrinsics
from common.detections.keypoints import to_our_joints
from common.geometry.camera import project_to_2d, world_to_camera
from common.geometry.joint_orders import ORDERS, rule_matrix
from common.geometry.skeleton import JOINT_NAMES
from common.mocap.filming import draw_cameras, films, seen_joints
from common.mocap.motion import load_deepmimic_clips
from common.mocap.people import FPS, build_people, load_people
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    out = tmp_path_factory.mktemp("people")
    motions = {
        name: motion
        for name, motion in load_deepmimic_clips(ROOT / "data/demo/motion.h5", FPS).items()
        if name in ("walk", "kick")
    }
    build_people(motions, dict.fromkeys(motions, "demo"), (), bodies=2, seed=0, out=out)
    return load_people(out)


def test_the_rule_is_the_predictions():
    keypoints = np.random.default_rng(0).uniform(100, 900, (5, 17, 2))
    joints, _ = to_our_joints(keypoints, "coco")
    np.testing.assert_allclose(rule_matrix(ORDERS["coco"]) @ keypoints, joints)


def test_cameras_are_of_the_kinds_that_are_promised():
    cameras = draw_cameras(torch.ones(20_000), torch.Generator().manual_seed(0))
    up = cameras.rotations[:, :, 2]  # the world's vertical in camera axes
    pitch = torch.rad2deg(torch.asin((-up[:, 2]).clamp(-1, 1)))  # looking down, the vertical points towards the camera
    roll = torch.rad2deg(torch.atan2(up[:, 0], -up[:, 1]))
    assert -15.1 < pitch.min() < -14
    assert 59 < pitch.max() < 60.1
    assert 29 < roll.abs().max() < 30.1
    assert torch.allclose(torch.linalg.det(cameras.rotations), torch.ones(20_000), atol=1e-4)
    longer = cameras.aspects.clamp_min(1)
    field = 2 * torch.rad2deg(torch.atan(longer / cameras.intrinsics[:, 0]))
    assert 34.9 < field.min() < 36
    assert 89 < field.max() < 90.1
    assert 2.0 <= cameras.roots_3d[:, 2].min() < 2.1
    assert cameras.roots_3d[:, 2].max() > 8
    hips = project(torch.zeros(20_000, 1, 3), cameras.roots_3d, cameras.intrinsics)[:, 0]
    assert (hips.abs() <= torch.stack([torch.ones(20_000), cameras.aspects], dim=1)).all()
    assert hips.abs().amax(0).min() > 0.8  # near the border as well
    assert (cameras.aspects > 1).any()
    assert (cameras.aspects < 1).any()


def test_no_roll_if_none_is_asked_for():
    cameras = draw_cameras(torch.ones(100), torch.Generator().manual_seed(0), most_roll=0.0)
    assert cameras.rotations[:, 0, 2].abs().max() < 1e-5


def test_human36ms_cameras_see_people_in_their_room():
    cameras = draw_cameras(torch.full((500,), 0.9), torch.Generator().manual_seed(0), "h36m")
    assert cameras.roots_3d[:, 2].min() > 2
    assert cameras.roots_3d[:, 2].max() < 8
    hips = project(torch.zeros(500, 1, 3), cameras.roots_3d, cameras.intrinsics)[:, 0]
    assert hips.abs().max() < 1
    assert (cameras.intrinsics[:, 0] - 2.29).abs().max() < 0.01


def test_films_are_what_their_cameras_see(people):
    poses = films(people, seed=0, noise=0.0)
    assert len(poses) == sum(sequence.stop - sequence.start for sequence in poses.sequences)
    places = poses.targets_3d + poses.roots_3d[:, None]
    seen = project(poses.targets_3d, poses.roots_3d, screen_intrinsics(poses.sequences))
    # Elbows of both definitions are the same to 4 mm.
    elbow = JOINT_NAMES.index("LElbow")
    assert (seen - poses.inputs_2d)[:, elbow].abs().max() < 0.02
    # COCO's hips lie further in than Human3.6M's.
    right, left = JOINT_NAMES.index("RHip"), JOINT_NAMES.index("LHip")
    width = (poses.inputs_2d[:, right] - poses.inputs_2d[:, left]).norm(dim=-1) / (seen[:, right] - seen[:, left]).norm(dim=-1)
    assert 0.6 < float(width.median()) < 0.8
    # The camera stands in the world as it says: what it sees of the body's world places is the same.
    sequence = poses.sequences[0]
    camera, clip = camera_of(sequence), people.clips[0]
    world = people.joints_3d[clip.start : clip.stop].double().numpy()
    in_camera = world_to_camera(world, camera)
    kept = [np.abs(in_camera - places[row].numpy()).max(axis=(1, 2)).argmin() for row in (sequence.start, sequence.stop - 1)]
    np.testing.assert_allclose(in_camera[kept[0]], places[sequence.start].numpy(), atol=1e-3)
    pixels = project_to_2d(in_camera[kept[0]], camera)
    assert ((pixels >= 0) & (pixels <= camera.resolution)).mean() > 0.75


def test_films_with_an_unknown_lens_say_the_assumed_one(people):
    known, unknown = films(people, seed=0), films(people, seed=0, lens_known=False)
    assert torch.equal(known.inputs_2d, unknown.inputs_2d)
    for sequence in unknown.sequences:
        camera = camera_of(sequence)
        field = 2 * math.degrees(math.atan(max(camera.resolution) / 2 / camera.focal_length[0]))
        assert field == pytest.approx(55.0, abs=0.2)
    assert screen_intrinsics(known.sequences)[0, 0] != screen_intrinsics(unknown.sequences)[0, 0]


def test_seen_in_the_labels_definition_is_the_projection(people):
    generator = torch.Generator().manual_seed(0)
    joints = people.joints_3d[:6] - people.joints_3d[:6, :1]
    cameras = draw_cameras(people.joints_3d[:6, 0, 2], generator)
    joints = torch.einsum("nij,nkj->nki", cameras.rotations, joints)
    seen = seen_joints(
        joints[:, None], torch.zeros(6, 1, 17, 3), cameras.roots_3d[:, None], cameras.intrinsics, "h36m", 0.0, generator
    )
    torch.testing.assert_close(seen[:, 0], project(joints, cameras.roots_3d, cameras.intrinsics))
