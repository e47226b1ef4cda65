"""`--new_poses`: what is made of the source's poses, and that it is made of them alone; and poses that are given."""

import pytest
import torch

from common.adaptation.augment import SeenAnew, Views
from common.adaptation.new_poses import new_poses, struck
from common.datasets.batches import ShuffledBatches
from common.datasets.surreal import load_surreal
from common.datasets.views import camera_up, screen_intrinsics
from common.geometry.bones import bones_of
from common.geometry.skeleton import BONES, JOINT_NAMES, NUM_JOINTS, handedness
from common.geometry.torso import torso_frames

ARMS_AND_LEGS = [i for i, (_, child) in enumerate(BONES) if JOINT_NAMES[child] not in ("Spine", "Thorax", "Head")]
TRUNK = [JOINT_NAMES.index(name) for name in ("Hip", "Spine", "Thorax", "Head")]


@pytest.fixture(scope="module")
def source(demo):
    return load_surreal(demo, "train", downsample=10)


@pytest.fixture(scope="module")
def poses(source):
    return source.targets_3d + torch.tensor([0.3, -0.2, 0.1])  # wherever the root is


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bones(poses_3d):
    return torch.stack([poses_3d[:, child] - poses_3d[:, parent] for parent, child in BONES], dim=1)


def seen_from_the_trunk(poses_3d):
    return torch.nn.functional.normalize(torch.einsum("nij,nki->nkj", torso_frames(poses_3d), bones(poses_3d)), dim=-1)


def test_bones_keep_their_lengths_and_bodies_their_place(poses):
    made = new_poses(poses, generator())
    assert torch.allclose(bones(made).norm(dim=-1), bones(poses).norm(dim=-1), atol=1e-5)
    assert torch.equal(made[:, 0], poses[:, 0])
    assert torch.equal(new_poses(poses, generator()), made)
    assert not torch.equal(new_poses(poses, generator(1)), made)


def test_limbs_are_another_s_and_held_to_the_trunk_as_theirs(poses):
    made = new_poses(poses, generator())
    assert torch.allclose(made[:, TRUNK], poses[:, TRUNK], atol=1e-6)
    # The trunk's frame is told by hips and shoulders, which are exchanged too, so what a limb was is told in the frame of before.
    ours = torch.nn.functional.normalize(torch.einsum("nij,nki->nkj", torso_frames(poses), bones(made)), dim=-1)
    theirs = seen_from_the_trunk(poses)
    for limb in (ARMS_AND_LEGS[i : i + 3] for i in range(0, 12, 3)):
        differ = (ours[:, limb] - theirs[:, limb]).abs().amax((1, 2)) > 1e-3
        assert differ.float().mean() == pytest.approx(0.5, abs=0.1)
        for row in differ.nonzero().flatten()[:20]:
            distance = (theirs[:, limb] - ours[row, limb]).abs().amax((1, 2))
            assert distance.min() < 1e-3  # all three bones of one other pose
            assert distance.argmin() != row


def test_a_pose_without_a_trunk_gives_no_limb_and_gets_none(poses):
    flat = poses.clone()
    broken = torch.arange(len(flat)) % 3 == 0
    flat[broken] = flat[broken][:, :1]
    made = new_poses(flat, generator())
    assert torch.equal(made[broken], flat[broken])
    assert torch.allclose(bones(made).norm(dim=-1), bones(flat).norm(dim=-1), atol=1e-5)
    assert not torch.allclose(made[~broken], flat[~broken])


def test_a_bone_without_length_is_not_given(poses):
    short = poses.clone()
    wrist, elbow = JOINT_NAMES.index("LWrist"), JOINT_NAMES.index("LElbow")
    short[::2, wrist] = short[::2, elbow]
    made = new_poses(short, generator())
    assert torch.allclose(bones(made).norm(dim=-1), bones(short).norm(dim=-1), atol=1e-5)


def in_trunk_axes(poses_3d):
    return bones_of(poses_3d) @ torso_frames(poses_3d)


def test_a_given_pose_is_struck_by_another_body(poses):
    """However large whoever held it, and however the trunk was turned then."""
    others, turn = poses.roll(37, dims=0), torch.linalg.qr(torch.randn(3, 3, generator=generator()))[0]
    turn = turn * torch.linalg.det(turn).sign()
    chosen = torch.arange(len(poses)) % 2 == 0
    made = struck(poses, in_trunk_axes(1.3 * others @ turn.T), chosen)
    assert torch.allclose(made[~chosen], poses[~chosen], atol=1e-6)
    assert torch.equal(made[:, 0], poses[:, 0])
    assert torch.allclose(bones(made).norm(dim=-1), bones(poses).norm(dim=-1), atol=1e-5)
    ours = torch.nn.functional.normalize(torch.einsum("nij,nki->nkj", torso_frames(poses), bones(made)), dim=-1)
    assert torch.allclose(ours[chosen], seen_from_the_trunk(others)[chosen], atol=1e-4)
    assert handedness(made.numpy()).mean() > 0.1  # bodies, no mirror images
    itself = struck(poses, in_trunk_axes(poses), torch.ones(len(poses), dtype=torch.bool))
    assert torch.allclose(itself, poses, atol=1e-5)


def test_what_is_no_pose_is_not_struck_and_what_has_no_trunk_strikes_none(poses):
    everybody = torch.ones(len(poses), dtype=torch.bool)
    given = in_trunk_axes(poses.roll(1, dims=0))
    given[::2, NUM_JOINTS - 1] = 0.0
    flat = poses.clone()
    flat[::3] = flat[::3, :1]
    made = struck(flat, given, everybody)
    stay = (torch.arange(len(poses)) % 2 == 0) | (torch.arange(len(poses)) % 3 == 0)
    assert torch.allclose(made[stay], flat[stay], atol=1e-6)
    assert (made[~stay] - flat[~stay]).abs().amax((1, 2)).gt(1e-3).float().mean() > 0.9


def test_batches_have_new_poses_and_are_their_projections(source):
    intrinsics = screen_intrinsics(source.sequences)
    tensors = (source.inputs_2d, source.targets_3d, source.roots_3d, camera_up(source.sequences), intrinsics)
    batches = ShuffledBatches(*tensors, batch_size=32, seed=3)
    anew = SeenAnew(batches, Views(False, False, False, (), new_poses=True), seed=3)
    (inputs, targets), (_, known, roots, *_) = next(iter(anew.epoch(0))), next(iter(batches.epoch(0)))
    assert not torch.allclose(targets, known)
    points = targets + roots[:, None]
    focal, centre = intrinsics[0, :2], intrinsics[0, 2:]
    assert torch.allclose(inputs, points[..., :2] / points[..., 2:] * focal + centre, atol=1e-4)
    assert "limbs of each other's" in anew.describe()
