"""What a training batch of `train_open.py` holds."""

import argparse

import pytest
import torch

from common.adaptation.any_camera import COCO_MIRROR, AnyCamera, stretched_with
from common.adaptation.augment import limb_factors, mirror_some
from common.adaptation.to_detector import detector_joints, fit_to_detector
from common.datasets.views import SPREAD
from common.errors import DuaError
from common.geometry.skeleton import BONES, JOINT_NAMES
from common.mocap.motion import load_deepmimic_clips
from common.mocap.people import FPS, build_people, load_people
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    out = tmp_path_factory.mktemp("people")
    motions = load_deepmimic_clips(ROOT / "data/demo/motion.h5", FPS)
    persons = {name: "b" if name in ("run", "kick") else "a" for name in motions}
    build_people(motions, persons, ("b",), bodies=2, seed=0, out=out)
    return load_people(out)


def seen(people, seed=0, **options):
    view = AnyCamera(
        **(
            {"setup": "any", "most_roll": 30.0, "definition": "detector", "noise": 0.3, "canonical": True, "scale": True}
            | options
        )
    )
    rows = slice(0, 200)
    return view.see((people.joints_3d[rows], people.points_3d[rows]), torch.Generator().manual_seed(seed))


def test_pictures_are_turned_to_the_hip_and_of_one_size(people):
    inputs, targets = seen(people)
    assert inputs.shape == (200, 16, 2)
    assert targets.shape == (200, 16, 3)
    assert inputs[:, 0].abs().max() < 1e-5
    spread = (inputs - inputs.mean(1, keepdim=True)).square().sum(-1).mean(-1).sqrt()
    torch.testing.assert_close(spread, torch.full((200,), SPREAD))
    assert targets[:, 0].abs().max() < 1e-6


def test_the_labels_own_joints_are_projections_of_the_labels(people):
    """Without errors, with a known lens, every joint lies where a body at some distance along the axis shows it."""
    inputs, targets = seen(people, definition="h36m", noise=0.0, setup="h36m", canonical=True, scale=False)
    # x (Z + d) = f X with one d for each pose and f = 2.29: solved for d by least squares over joints.
    x, (horizontal, depth) = inputs[:, 1:, 0], (targets[:, 1:, 0], targets[:, 1:, 2])
    right = 2.29 * horizontal - x * depth
    distance = (x * right).sum(1) / (x * x).sum(1)
    residual = (x * distance[:, None] - right).abs().max()
    assert residual < 0.01
    assert distance.min() > 2
    assert distance.max() < 9


def test_batches_are_drawn_by_their_generator_alone(people):
    for one, two, other in zip(seen(people), seen(people), seen(people, seed=1), strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, other)


def test_stretched_limbs_take_their_keypoints_with_them(people):
    joints = people.joints_3d[:50] - people.joints_3d[:50, :1]
    points = people.points_3d[:50] - people.joints_3d[:50, :1]
    same, too = stretched_with(joints, points, torch.ones(50, 16))
    torch.testing.assert_close(same, joints)
    torch.testing.assert_close(too, points)
    factors = limb_factors(50, torch.Generator().manual_seed(0))
    longer, moved = stretched_with(joints, points, factors)
    for parent, child in BONES:
        ratio = (longer[:, child] - longer[:, parent]).norm(dim=-1) / (joints[:, child] - joints[:, parent]).norm(dim=-1)
        torch.testing.assert_close(ratio, factors[:, child], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(moved[:, 9] - longer[:, 12], (points[:, 9] - joints[:, 12]) * factors[:, 12, None])  # left wrist


def test_mirror_images_exchange_the_sides_of_both(people):
    joints, points = people.joints_3d[:40], people.points_3d[:40]
    across, too = mirror_some(joints, points, COCO_MIRROR, torch.Generator().manual_seed(0))
    changed = (across != joints).any(-1).any(-1)
    assert 10 < int(changed.sum()) < 30
    # The left wrist of the one is the right one of the other, x turned round; in both definitions.
    for moved, plain, left, right in ((across, joints, 12, 15), (too, points, 9, 10)):
        expected = plain[changed][:, right] * torch.tensor([-1.0, 1.0, 1.0])
        torch.testing.assert_close(moved[changed][:, left], expected)
        torch.testing.assert_close(moved[~changed], plain[~changed])


def test_options_that_make_no_sense_are_refused():
    good = {
        "keypoints": "detector",
        "roll": 30.0,
        "detector_noise": 0.3,
        "cameras": "any",
        "align": ["canonical"],
        "scale": "spread",
        "given": set(),
    }
    assert AnyCamera.of(argparse.Namespace(**good)).noise == 0.3
    assert AnyCamera.of(argparse.Namespace(**good | {"keypoints": "gt"})).definition == "h36m"
    for change, said in (
        ({"keypoints": "cpn_ft_h36m_dbb"}, "--keypoints cpn_ft_h36m_dbb"),
        ({"roll": -1.0}, "--roll -1"),
        ({"detector_noise": float("nan")}, "--detector_noise nan"),
        ({"keypoints": "gt", "given": {"detector_noise"}}, "--detector_noise is a detector's"),
    ):
        with pytest.raises(DuaError, match=said):
            AnyCamera.of(argparse.Namespace(**good | change))


def test_poses_become_the_detectors_in_any_axes(people):
    """Fitted on other people's clips: what is left is the head's nodding; and it commutes with rotations."""
    converter, _ = fit_to_detector(people.select(("train",)))
    others = people.select(("validation",))
    poses, truth = others.joints_3d - others.joints_3d[:, :1], detector_joints(others)
    with torch.no_grad():
        converted = converter.convert(poses)
        before, after = ((found - truth).norm(dim=-1).mean() * 1000 for found in (poses, converted))
        assert before > 25
        assert after < 8
        turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0))).Q
        torch.testing.assert_close(converter.convert(poses @ turned), converted @ turned, rtol=1e-4, atol=1e-4)
        # Of predictions, which are off by centimetres, the head is told by less than its map has of it.
        wrong = poses + 0.02 * torch.randn(poses.shape, generator=torch.Generator().manual_seed(1))
        wrong[:, 0] = 0
        exact, filtered = converter.convert(wrong), converter.convert(wrong, predicted=True)
        errors = [(found - converted)[:, JOINT_NAMES.index("Head")].norm(dim=-1).mean() * 1000 for found in (exact, filtered)]
        assert errors[1] < errors[0] / 2
        torch.testing.assert_close(converter.convert(wrong @ turned, predicted=True), filtered @ turned, rtol=1e-4, atol=1e-4)
