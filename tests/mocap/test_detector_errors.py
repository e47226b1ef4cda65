"""Errors of a detector: those that are published, and switchable."""

import numpy as np
import pytest
import torch

from common.datasets.h36m import TEST_SUBJECTS, load_h36m
from common.datasets.surreal import load_surreal
from common.errors import DuaError
from common.geometry.skeleton import JOINT_NAMES
from common.mocap.detector_errors import NOISE, OKS, detected, found_joints


def body(clips: int, frames: int) -> torch.Tensor:
    """(S, T, 17, 2) places of a body two units high and half a unit wide, in every frame the same."""
    x = torch.linspace(-0.25, 0.25, 17)
    y = torch.linspace(-1, 1, 17)[torch.randperm(17, generator=torch.Generator().manual_seed(3))]
    return torch.stack([x, y], dim=-1).expand(clips, frames, 17, 2).clone()


@pytest.fixture(scope="module")
def found():
    points = body(400, 40)
    places, sure = detected(points, torch.zeros(400, 40, 17), torch.Generator().manual_seed(0), NOISE)
    return points, places, sure


def test_no_noise_is_the_definition_alone():
    points = body(3, 5)
    places, sure = detected(points, torch.zeros(3, 5, 17), torch.Generator().manual_seed(0), 0.0)
    assert torch.equal(places, points)
    assert (sure == 1).all()


def test_the_same_seed_gives_the_same_errors(found):
    points, places, sure = found
    again = detected(points, torch.zeros(400, 40, 17), torch.Generator().manual_seed(0), NOISE)
    assert torch.equal(again[0], places)
    assert torch.equal(again[1], sure)
    other, _ = detected(points, torch.zeros(400, 40, 17), torch.Generator().manual_seed(1), NOISE)
    assert not torch.equal(other, places)


def test_sizes_are_by_joint_as_cocos_constants(found):
    points, places, _sure = found
    error = (places - points).norm(dim=-1).flatten(0, 1)
    median = error.median(dim=0).values  # swaps and losses are a few in a hundred
    ratio = median / torch.tensor(OKS)
    assert ratio.max() / ratio.min() < 1.15
    # The median of Student's t with four degrees in two dimensions is 1.287 deviations; the scale is the root of 0.53 x 0.5 x 2.
    assert float(ratio.mean()) == pytest.approx(1.287 * NOISE * (0.53 * 0.5 * 2) ** 0.5, rel=0.1)


def test_tails_are_heavier_than_a_gaussians(found):
    points, places, _sure = found
    error = (places - points)[..., 0, 0].flatten()  # the nose, which nothing is exchanged with
    error = error / error.abs().median() * 0.6745  # a Gaussian's deviation would be 1
    assert (error.abs() > 4).float().mean() > 0.003  # a Gaussian has 0.00006


def test_errors_last(found):
    points, places, _ = found
    error = (places - points)[:, :10, 9]  # a wrist in the first run of frames
    whole = (error.norm(dim=-1) < 0.2).all(1)
    first, second = error[whole][:, :-1, 0].flatten(), error[whole][:, 1:, 0].flatten()
    assert np.corrcoef(first, second)[0, 1] > 0.8


def test_far_joints_are_worse():
    points, depths = body(2000, 1), torch.zeros(2000, 1, 17)
    depths[..., 9], depths[..., 10] = 0.6, -0.6
    places, _ = detected(points, depths, torch.Generator().manual_seed(0), NOISE)
    error = (places - points).norm(dim=-1)[:, 0].median(dim=0).values
    assert error[9] / error[10] == pytest.approx(2, rel=0.15)


def test_some_are_lost_and_not_sure_and_some_exchanged_and_sure():
    points = body(20_000, 1)
    places, sure = detected(points, torch.zeros(20_000, 1, 17), torch.Generator().manual_seed(0), NOISE / 100)
    assert (sure < 0.3).float().mean() == pytest.approx(0.02, rel=0.1)
    exchanged = (places[:, 0, 15] - points[:, 0, 16]).norm(dim=-1) < 0.02
    assert exchanged.float().mean() == pytest.approx(0.02, rel=0.15)
    assert (sure[:, 0, 15][exchanged] > 0.5).float().mean() > 0.9
    assert torch.equal(exchanged, (places[:, 0, 13] - points[:, 0, 14]).norm(dim=-1) < 0.02)  # the whole leg
    assert not (exchanged & ((places[:, 0, 9] - points[:, 0, 10]).norm(dim=-1) < 0.02)).float().mean() > 0.005  # arms apart


def test_what_is_lost_is_filled_as_in_prediction():
    points = body(1, 30)[0].numpy() * 100 + 500
    in_camera = np.concatenate([points, np.full((30, 17, 1), 3.0)], axis=-1)
    joints = found_joints(in_camera, points, torch.Generator().manual_seed(5), NOISE)
    assert joints.shape == (30, 16, 2)
    assert np.isfinite(joints).all()
    hips = joints[:, [JOINT_NAMES.index("RHip"), JOINT_NAMES.index("LHip")]].mean(axis=1)
    np.testing.assert_allclose(joints[:, 0], hips)


def test_a_detectors_2d_is_chosen_like_any_other(demo):
    """Of both domains: other places than the true joints, by the definition and the errors, but the same poses."""
    for truth, seen, size in (
        (load_h36m(demo, "gt", TEST_SUBJECTS), load_h36m(demo, "detector", TEST_SUBJECTS), 500),
        (load_surreal(demo, "test"), load_surreal(demo, "test", keypoints="detector"), 160),
    ):
        assert torch.equal(truth.targets_3d, seen.targets_3d)
        apart = (truth.inputs_2d - seen.inputs_2d).norm(dim=-1) * size
        assert 1 < float(apart.median()) < 20  # pixels
        # Between the eyes, and not Human3.6M's top of the head nor SMPL's base of the skull.
        head = JOINT_NAMES.index("Head")
        assert apart[:, head].median() > apart[:, JOINT_NAMES.index("LWrist")].median()


def test_files_without_a_detectors_2d_say_so(tmp_path):
    from tests.helpers import surreal_files

    surreal_files.write_prepared(tmp_path)
    with pytest.raises(DuaError, match="has no 2D of a detector"):
        load_surreal(tmp_path, "train", keypoints="detector")
