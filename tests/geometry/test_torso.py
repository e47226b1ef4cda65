"""The frame of a trunk: by hand, and turned with the body."""

import torch
from scipy.spatial.transform import Rotation

from common.geometry.skeleton import JOINT_NAMES, handedness
from common.geometry.torso import torso_frames


def body(**joints):
    """Somebody who stands before the camera and faces it (x right, y down, z forward), so that their left is on its right."""
    places = {
        "Thorax": (0, -0.5, 0),
        "LHip": (0.1, 0, 0),
        "RHip": (-0.1, 0, 0),
        "LShoulder": (0.2, -0.5, 0),
        "RShoulder": (-0.2, -0.5, 0),
    }
    pose = torch.zeros(1, 16, 3)
    for name, place in (places | joints).items():
        pose[0, JOINT_NAMES.index(name)] = torch.tensor(place, dtype=torch.float32)
    return pose


def test_somebody_who_faces_the_camera():
    (frame,) = torso_frames(body())
    expected = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])  # columns: left is right, up is -y, forwards is towards us
    torch.testing.assert_close(frame, expected)


def test_forwards_is_where_the_knees_bend():
    bent = body(LKnee=(0.1, 0.3, -0.3), RKnee=(-0.1, 0.3, -0.3), LFoot=(0.1, 0.7, 0.0), RFoot=(-0.1, 0.7, 0.0))
    assert handedness(bent.numpy()) > 0.3
    assert (torso_frames(bent)[0, :, 2] * torch.tensor([0.0, 0, -1])).sum() > 0.9


def test_a_twisted_trunk_counts_by_its_middle():
    """Hips as they were, shoulders turned by 60 degrees about the vertical: the lines' sum (0.2, 0, 0) + (0.2, 0, 0.3464) is 40.9 off."""
    (frame,) = torso_frames(body(LShoulder=(0.1, -0.5, 0.1732), RShoulder=(-0.1, -0.5, -0.1732)))
    left = torch.nn.functional.normalize(torch.tensor([0.4, 0.0, 0.3464]), dim=0)
    torch.testing.assert_close(frame[:, 0], left, atol=1e-4, rtol=0)
    torch.testing.assert_close(frame[:, 1], torch.tensor([0.0, -1, 0]))


def test_frames_are_rotations_and_turn_with_the_body():
    generator = torch.Generator().manual_seed(0)
    poses = torch.randn(50, 16, 3, generator=generator)
    turns = torch.from_numpy(Rotation.random(50, random_state=1).as_matrix()).float()
    frames = torso_frames(poses)
    torch.testing.assert_close(frames.mT @ frames, torch.eye(3).expand(50, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frames), torch.ones(50))
    torch.testing.assert_close(torso_frames(poses @ turns.mT + 3), turns @ frames, atol=1e-4, rtol=0)


def test_a_line_is_no_trunk():
    (frame,) = torso_frames(body(LHip=(0, 0, 0), RHip=(0, 0, 0), LShoulder=(0, -0.5, 0), RShoulder=(0, -0.5, 0)))
    assert torch.equal(frame[:, 0], torch.zeros(3))
