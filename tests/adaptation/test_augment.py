"""`common.adaptation.augment`, `common.evaluation.losses` and `common.evaluation.test_time`."""

import numpy as np
import pytest
import torch

from common.adaptation.augment import SeenAnew, Views, before_any_camera, mirror_some, stretch_limbs, turn
from common.datasets.batches import DomainBatches, ShuffledBatches
from common.datasets.surreal import load_surreal
from common.datasets.views import SPREAD, Scale, camera_up, project, screen_intrinsics
from common.evaluation.evaluate import predict
from common.evaluation.losses import coral, mkmmd
from common.evaluation.test_time import TestTime, adapt_batchnorm
from common.evaluation.test_time import mirrored as mirrored_pose
from common.geometry.skeleton import BONES, MIRROR, handedness
from models import build


@pytest.fixture(scope="module")
def source(demo):
    return load_surreal(demo, "train", downsample=10)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bones(poses):
    return torch.stack([(poses[:, child] - poses[:, parent]).norm(dim=-1) for parent, child in BONES], dim=1)


def test_stretched_limbs_keep_their_directions_and_are_alike_on_both_sides(source):
    poses = source.targets_3d
    stretched = stretch_limbs(poses, generator())
    factors = bones(stretched) / bones(poses)
    assert torch.allclose(stretched[:, 0], poses[:, 0])
    for i, (_, child) in enumerate(BONES):
        twin = [c for _, c in BONES].index(MIRROR[child])
        assert torch.allclose(factors[:, i], factors[:, twin], atol=1e-4)
        before, after = (p[:, child] - p[:, BONES[i][0]] for p in (poses, stretched))
        assert torch.allclose(torch.nn.functional.cosine_similarity(before, after), torch.ones(len(poses)), atol=1e-5)
    assert 0.05 < factors.log().std() < 0.2
    assert factors.log().mean().abs() < 0.05


def test_mirrored_poses_are_right_way_round_and_half_of_all(source):
    poses = source.targets_3d
    up = torch.nn.functional.normalize(torch.tensor([0.1, -1.0, 0.2]), dim=0).expand(len(poses), 3)
    mirrored, ups = mirror_some(poses, up[:, None], (0,), generator())
    up_after = ups[:, 0]
    changed = (mirrored != poses).flatten(1).any(1)
    assert changed.float().mean() == pytest.approx(0.5, abs=0.1)
    assert handedness(mirrored[changed].numpy()).mean() > 0.1
    assert torch.equal(mirrored[changed], mirrored_pose(poses)[changed])
    assert torch.equal(up_after[changed], (up * torch.tensor([-1.0, 1.0, 1.0]))[changed])
    assert torch.equal(up_after[~changed], up[~changed])


def test_turned_poses_keep_their_shape_and_are_seen_by_cameras_that_mostly_look_down(source):
    poses, up = source.targets_3d, camera_up(source.sequences)
    turned = turn(poses, up, generator())
    assert torch.allclose(bones(turned), bones(poses), atol=1e-5)
    assert handedness(turned.numpy()).mean() > 0.1
    # A body that stands upright shows the pitch of the camera: its head is nearer than its hip to one that looks down.
    upright = torch.zeros(4000, 16, 3)
    upright[:, 9, 1] = -1.0
    seen = turn(upright, torch.tensor([0.0, -1.0, 0.0]).expand(4000, 3), generator())[:, 9]
    pitch = torch.rad2deg(torch.atan2(-seen[:, 2], -seen[:, 1]))
    assert pitch.min() > -6
    assert pitch.max() < 26
    assert pitch.mean() == pytest.approx(10, abs=1)
    # Seen by a camera that looks down already, the same poses are levelled first.
    tilt = torch.nn.functional.normalize(torch.tensor([0.1, -np.cos(0.3), -np.sin(0.3)], dtype=torch.float32), dim=0)
    tilted = torch.zeros(4000, 16, 3)
    tilted[:, 9] = tilt
    assert torch.allclose(turn(tilted, tilt.expand(4000, 3), generator())[:, 9], seen, atol=1e-5)


def tensors(poses):
    return poses.inputs_2d, poses.targets_3d, poses.roots_3d, camera_up(poses.sequences), screen_intrinsics(poses.sequences)


def test_batches_are_brought_to_one_size_last(source):
    """What is aligned, or compared, is as large as it is filmed until then."""
    both = (*tensors(source), source.inputs_2d.flip(0), screen_intrinsics(source.sequences))
    plain, sized = (
        Views(True, True, False, ("inputs_t",), scale).see(both, generator()) for scale in (Scale(), Scale("box", 0.6))
    )
    assert torch.equal(plain[1], sized[1])
    for before, after in zip(plain[::2], sized[::2], strict=True):
        assert torch.equal(Scale("box", 0.6)(before), after)
        assert not torch.equal(before, after)


@pytest.mark.parametrize("align", [False, True])
def test_batches_are_projections_of_their_labels_and_come_again(source, align):
    first = ShuffledBatches(*tensors(source), batch_size=32, seed=3)
    intrinsics_t = screen_intrinsics(source.sequences)
    both = DomainBatches(first, ShuffledBatches(source.inputs_2d, intrinsics_t, batch_size=32, seed=3, stream=1))
    batches = SeenAnew(
        both if align else first, Views(augment=True, align=align, centred=False, read=("inputs_t",) if align else ()), seed=3
    )
    whole = list(batches.epoch(1))
    again = list(batches.epoch(1, start=2))
    assert all(torch.equal(a, b) for one, two in zip(whole[2:], again, strict=True) for a, b in zip(one, two, strict=True))
    other = list(batches.epoch(2))
    assert not torch.equal(whole[0][1], other[0][1])
    inputs, targets, *inputs_t = whole[0]
    assert len(inputs_t) == int(align)
    assert targets[:, 0].abs().max() == 0
    # 32 equations for 3 unknowns: where the root must be if the inputs show these targets.
    focal, centre = intrinsics_t[0, :2], intrinsics_t[0, 2:]
    rays = (inputs - centre) / focal
    a = torch.cat([torch.eye(2).expand(len(inputs), 16, 2, 2), -rays[..., None]], dim=-1).flatten(1, 2)
    b = (rays * targets[..., 2:] - targets[..., :2]).flatten(1, 2)
    roots = torch.linalg.lstsq(a, b[..., None]).solution[..., 0]
    assert (project(targets, roots, intrinsics_t[:32]) - inputs).abs().max() < 1e-3


def test_coral_is_the_distance_of_covariances():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 4)), rng.normal(size=(60, 4)) * 3
    expected = np.sum((np.cov(a.T) - np.cov(b.T)) ** 2) / (4 * 4**2)
    assert coral(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected)


def test_mkmmd_is_the_unbiased_sum_over_pairs():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(7, 3)), rng.normal(size=(5, 3)) + 1
    everything = np.concatenate([a, b])
    squares = np.array([[np.sum((x - y) ** 2) for y in everything] for x in everything])
    width = squares.sum() / (12 * 11)

    def kernel(x, y):
        return np.mean([np.exp(-np.sum((x - y) ** 2) / (factor * width)) for factor in (0.25, 0.5, 1, 2, 4)])

    def mean(xs, ys, same):
        return np.mean([kernel(x, y) for i, x in enumerate(xs) for j, y in enumerate(ys) if not (same and i == j)])

    expected = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
    assert mkmmd(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(expected)


def test_mkmmd_is_about_nothing_between_draws_of_one_distribution():
    draws = torch.randn(600, 10, generator=generator())
    assert abs(mkmmd(draws[:300], draws[300:]).item()) < 0.005
    assert mkmmd(draws[:300], draws[300:] + 1).item() > 0.05


def test_flipped_predictions_are_symmetric():
    torch.manual_seed(0)
    networks = {"lifter": build({"name": "martinez", "num_joints": 16, "hid_dim": 32, "num_layers": 1, "dropout": 0.0}).eval()}
    inputs = torch.randn(5, 16, 2)
    plain, _ = predict(networks, inputs, "cpu")
    averaged, _ = predict(networks, inputs, "cpu", flip=True)
    mirrored, _ = predict(networks, mirrored_pose(inputs), "cpu", flip=True)
    assert torch.allclose(mirrored_pose(mirrored), averaged, atol=1e-6)
    assert not torch.allclose(plain, averaged, atol=1e-3)


def test_batchnorm_takes_the_statistics_of_the_test(source):
    torch.manual_seed(0)
    lifter = build({"name": "martinez", "num_joints": 16, "hid_dim": 32, "num_layers": 1, "dropout": 0.5}).eval()
    inputs = source.inputs_2d * 2 + 1
    before = {name: value.clone() for name, value in lifter.state_dict().items()}
    adapted = adapt_batchnorm(lifter, inputs, "cpu")
    assert all(torch.equal(value, before[name]) for name, value in lifter.state_dict().items())  # a copy is adapted
    assert not adapted.training
    assert not any(module.training for module in adapted.modules())
    first = next(module for module in adapted.modules() if isinstance(module, torch.nn.BatchNorm1d))
    linear = next(module for module in adapted.modules() if isinstance(module, torch.nn.Linear))
    seen = linear(inputs.flatten(1))
    assert torch.allclose(first.running_mean, seen.mean(0), atol=1e-4)
    assert torch.allclose(first.running_var, seen.var(0), rtol=1e-3)


def test_options_of_a_test_come_from_a_run_s_arguments():
    assert TestTime.of({}) == TestTime()
    assert TestTime.of({"align": ["canonical", "gpa"], "tta": True, "test_bn": True}) == TestTime(True, True, True)
    assert TestTime.of({"align": ["gpa"], "tta": False}) == TestTime()
    assert TestTime.of({"scale": "spread"}) == TestTime(scale=Scale("spread", SPREAD))
    assert TestTime.of({"scale": "box", "scale_size": 0.8}) == TestTime(scale=Scale("box", 0.8))


@pytest.mark.parametrize("centred", [False, True])
def test_before_any_camera_bodies_stay_bodies_and_stand_upright_on_average(centred):
    generator = torch.Generator().manual_seed(0)
    poses, up = torch.randn(3000, 16, 3, generator=generator) * 0.3, torch.tensor([[0.1, -0.9, 0.3]]).expand(3000, 3)
    poses[:, 0] = 0
    poses[:, 9] = 0.6 * torch.nn.functional.normalize(up, dim=-1)  # the head, straight above the hip
    seen, roots, intrinsics = before_any_camera(poses, up, torch.Generator().manual_seed(1), centred)
    torch.testing.assert_close(seen.norm(dim=-1), poses.norm(dim=-1), rtol=1e-4, atol=1e-4)
    hips = project(torch.zeros(3000, 1, 3), roots, intrinsics)[:, 0]
    assert float(hips.abs().max()) < (1e-3 if centred else 1.8)
    head = torch.nn.functional.normalize(seen[:, 9], dim=-1)
    assert -0.98 < float(head[:, 1].mean()) < -0.7  # up is -y; rolled, and looked down at
    roll = torch.rad2deg(torch.atan2(head[:, 0], -head[:, 1]))
    assert float(roll.abs().median()) > 5
    assert float(roots[:, 2].min()) > 1.9
