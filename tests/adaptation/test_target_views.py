"""`--align views` and `--target_poses`: poses that take after the target's are still themselves, and stand, look and move as it is predicted."""

import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from common.adaptation.augment import Views
from common.adaptation.target_views import SAMPLE, SeenAsTarget, TargetViews
from common.adaptation.training_views import validation_views
from common.datasets.batches import ShuffledBatches
from common.datasets.surreal import load_surreal
from common.datasets.views import AS_IT_IS, Scale, camera_up, project, screen_intrinsics
from common.geometry.bones import bones_of
from common.geometry.skeleton import BONES, JOINT_NAMES, handedness
from common.geometry.torso import torso_frames
from models import build


@pytest.fixture(scope="module")
def source(demo):
    return load_surreal(demo, "train", downsample=10)


class Told(nn.Module):
    """A lifting network that predicts what it is told."""

    def __init__(self, poses_3d):
        super().__init__()
        self.poses_3d = nn.Parameter(poses_3d)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, inputs_2d):
        assert not self.training
        assert inputs_2d.shape[0] == len(self.poses_3d)
        return self.poses_3d, self.norm(inputs_2d[:, 0])


COUNT = 100


@pytest.fixture
def target(source):
    """(poses_3d, roots_3d, intrinsics, inputs_2d) of one body, turned by any rotation, at places of their own."""
    generator = torch.Generator().manual_seed(3)
    turns = torch.from_numpy(Rotation.random(COUNT, random_state=3).as_matrix()).float()
    poses = torch.einsum("nij,kj->nki", turns, source.targets_3d[7])
    roots = torch.randn(COUNT, 3, generator=generator) * 0.7 + torch.tensor([0.0, 0, 5])
    intrinsics = torch.tensor([2.0, 2.1, 0.02, -0.01]) + torch.rand(COUNT, 4, generator=generator) * 0.1
    return poses, roots, intrinsics, project(poses, roots, intrinsics)


def of(poses, inputs_2d, intrinsics):
    return TargetViews.of({"lifter": Told(poses.clone())}, inputs_2d, intrinsics, AS_IT_IS)


def bones(poses):
    return torch.stack([(poses[:, child] - poses[:, parent]).norm(dim=-1) for parent, child in BONES], dim=1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_pose_is_turned_and_stays_itself(source, target):
    poses, _, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    assert views.turned(source.targets_3d, generator()) is None  # nobody was asked yet
    views.look()
    chosen, turned, *_ = views.turned(source.targets_3d, generator(5))
    assert chosen.float().mean() == pytest.approx(0.5, abs=0.1)
    rows = views.pool.draw(len(source), generator(5))
    assert len(set(rows.tolist())) > COUNT / 2
    torch.testing.assert_close(torso_frames(turned), torso_frames(poses)[rows], atol=1e-4, rtol=0)
    torch.testing.assert_close(bones(turned), bones(source.targets_3d), atol=1e-5, rtol=0)
    assert handedness(turned.numpy()).mean() > 0.1
    assert turned[:, 0].abs().max() < 1e-6


def test_a_pose_without_a_trunk_is_not_turned(source, target):
    poses, _, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    views.look()
    flat = source.targets_3d.clone()
    flat[::2, JOINT_NAMES.index("Thorax")] = 0.0  # in the hip: nothing says which way is up
    chosen, *_ = views.turned(flat, generator(5))
    as_drawn, *_ = views.turned(source.targets_3d, generator(5))
    assert as_drawn[::2].any()
    assert not chosen[::2].any()
    assert torch.equal(chosen[1::2], as_drawn[1::2])


def test_the_target_s_own_body_is_seen_as_the_target_was(source, target):
    """Where it is predicted rightly, whichever way the source's body was turned before."""
    poses, roots, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    views.look()
    turn = torch.from_numpy(Rotation.random(random_state=8).as_matrix()).float()
    batch = (source.targets_3d[7] @ turn.T).expand(500, 16, 3)
    _, turned, places, seen, lenses = views.turned(batch, generator())
    rows = views.pool.draw(500, generator())
    torch.testing.assert_close(places, roots[rows], atol=1e-3, rtol=0)
    assert torch.equal(seen, inputs[rows])
    assert torch.equal(lenses, intrinsics[rows])
    torch.testing.assert_close(project(turned, places, lenses), inputs[rows], atol=1e-3, rtol=0)
    # A child of the same proportions is seen as large, and so stands nearer; what the network makes smaller is no matter either.
    smaller = of(poses * 0.7, inputs, intrinsics)
    smaller.look()
    rows = smaller.pool.draw(500, generator())
    for factor in (0.6, 1.0):
        _, turned, places, *_ = smaller.turned(batch * factor, generator())
        torch.testing.assert_close(places, roots[rows] * factor, atol=2e-3, rtol=0)
        torch.testing.assert_close(project(turned, places, intrinsics[rows]), inputs[rows], atol=2e-3, rtol=0)


def test_bodies_strike_what_is_predicted_of_the_target(source, target):
    """With bones as long and trunks as turned as their own; nothing that the pool does not keep."""
    _, roots, intrinsics, _ = target
    poses = source.targets_3d[torch.arange(COUNT) * (len(source) // COUNT)] * 1.2
    wrong = poses.clone()
    wrong[:10, 3] += 0.3  # see below: these are left out
    views = TargetViews.of({"lifter": Told(wrong)}, project(poses, roots, intrinsics), intrinsics, AS_IT_IS, poses=True)
    bodies = source.targets_3d
    assert torch.equal(views.posed(bodies, generator()), bodies)  # nobody was asked yet
    views.look()
    made = views.posed(bodies, generator(5))
    rows = views.pool.draw(len(bodies), generator(5))
    assert rows.min() >= 10
    changed = (made - bodies).abs().amax((1, 2)) > 1e-3
    assert changed.float().mean() == pytest.approx(0.6, abs=0.1)
    assert torch.allclose(made[~changed], bodies[~changed], atol=1e-6)
    torch.testing.assert_close(bones(made), bones(bodies), atol=1e-5, rtol=0)
    directed = torch.nn.functional.normalize(bones_of(made)[:, 1:] @ torso_frames(bodies), dim=-1)
    predicted = torch.nn.functional.normalize(bones_of(poses)[:, 1:] @ torso_frames(poses), dim=-1)
    torch.testing.assert_close(directed[changed], predicted[rows][changed], atol=1e-3, rtol=0)
    assert torch.equal(views.posed(bodies, generator(5)), made)
    filmed = source.roots_3d, camera_up(source.sequences), screen_intrinsics(source.sequences)
    anew = Views(False, False, False, (), posed=views.posed)
    inputs, targets = anew.see((source.inputs_2d, bodies, *filmed), generator(5))
    assert torch.equal(targets, made)
    assert torch.equal(inputs, project(made, filmed[0], filmed[2]))
    assert "posed like the target's" in anew.describe()
    assert views.now().pool.bones.shape == (COUNT, 16, 3)


def test_validation_poses_are_turned_like_the_target_s_and_strike_none_of_its(source, target):
    poses, _, intrinsics, inputs = target
    views = TargetViews.of({"lifter": Told(poses.clone())}, inputs, intrinsics, AS_IT_IS, poses=True)
    options = {"align": ["views"], "augment": False, "target_poses": True, "domain_on": False}
    seen = validation_views(options, source, None, views)
    trunks = [bones_of(of_whom) @ torso_frames(of_whom) for of_whom in (seen.targets_3d, source.targets_3d)]
    torch.testing.assert_close(*trunks, atol=1e-4, rtol=0)
    turned = (seen.targets_3d - source.targets_3d).abs().amax((1, 2)) > 1e-2
    assert turned.float().mean() == pytest.approx(0.5, abs=0.1)


def test_what_does_not_fit_its_2d_is_left_out(target):
    poses, roots, intrinsics, inputs = target
    wrong = poses.clone()
    wrong[:10, 3] += 0.3  # a tenth, the worst
    wrong[10] = float("nan")
    wrong[11] = -poses[11]  # a mirror image is seen so from behind the camera alone
    wrong[12] = 0.0  # no trunk
    inputs[13] = inputs[13, :1].clone()  # all joints on one ray
    views = of(wrong, inputs, intrinsics)
    views.look()
    kept = views.pool.kept
    assert not kept[:14].any()
    assert kept.sum() == round(0.9 * 96)
    assert torch.isfinite(views.pool.roots).all()
    torch.testing.assert_close(views.pool.roots[kept] * bones(poses)[0].sum(), roots[kept], atol=1e-3, rtol=0)


def test_predictions_that_cannot_be_used_leave_the_pool_as_it_was(target):
    poses, _, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    views.look()
    before = {name: value.clone() for name, value in views.pool.state_dict().items()}
    views.networks["lifter"].poses_3d.data.fill_(float("nan"))
    views.look()
    assert all(torch.equal(value, before[name]) for name, value in views.pool.state_dict().items())


def test_asking_changes_nothing_of_a_network_in_training(target):
    poses, _, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    lifter = views.networks["lifter"].train()
    before, state = {name: value.clone() for name, value in lifter.state_dict().items()}, torch.get_rng_state()
    views.look()
    assert lifter.training
    assert lifter.norm.training
    assert all(torch.equal(value, before[name]) for name, value in lifter.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert views.pool.kept.any()


def test_a_look_for_validation_is_no_look_of_the_training(target):
    poses, _, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    assert views.now().pool.kept.any()
    assert not views.pool.kept.any()


def test_of_a_large_target_a_sample_is_asked_that_is_always_the_same():
    inputs = torch.arange(3 * SAMPLE, dtype=torch.float32)[:, None, None].expand(-1, 16, 2)
    first, second = (TargetViews.of({}, inputs, torch.ones(len(inputs), 4), AS_IT_IS) for _ in range(2))
    numbers = first.inputs_2d[:, 0, 0]
    assert len(set(numbers.tolist())) == SAMPLE
    assert torch.equal(numbers, second.inputs_2d[:, 0, 0])
    assert numbers.mean() == pytest.approx(1.5 * SAMPLE, rel=0.05)


def batches_of(source, views, warm_up=1, every=1):
    filmed = ShuffledBatches(
        source.inputs_2d, source.targets_3d, source.roots_3d, camera_up(source.sequences), screen_intrinsics(source.sequences),
        batch_size=32, seed=3,
    )  # fmt: skip
    return SeenAsTarget(filmed, Views(False, False, False, (), turned=views.turned), 3, views, warm_up, every)


def test_poses_are_as_they_are_until_the_network_is_asked(source, target):
    poses, _, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    batches = batches_of(source, views, warm_up=2, every=2)
    filmed = {tuple(pose.flatten().tolist()) for pose in source.targets_3d}
    for epoch in (0, 1):
        assert all(tuple(pose.flatten().tolist()) in filmed for _, batch in batches.epoch(epoch) for pose in batch)
    assert not views.pool.kept.any()
    second = list(batches.epoch(2))
    learnt = torch.cat([batch for _, batch in second])
    anew = torch.tensor([tuple(pose.flatten().tolist()) not in filmed for pose in learnt])
    assert anew.float().mean() == pytest.approx(0.5, abs=0.1)
    frames = torso_frames(poses)[views.pool.kept]
    nearest = (torso_frames(learnt[anew])[:, None] - frames).flatten(2).norm(dim=-1).amin(1)
    assert nearest.max() < 1e-3
    # The same again, also from its middle on, with the pool that a checkpoint keeps; the next look is two epochs later.
    again = batches_of(source, of(poses, inputs, intrinsics), warm_up=2, every=2)
    again._target.pool.load_state_dict(views.pool.state_dict())
    for one, two in zip(second[3:], again.epoch(2, start=3), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    views.networks["lifter"].poses_3d.data.copy_(poses.flip(0))
    before = views.pool.rotations.clone()
    next(batches.epoch(3))
    assert torch.equal(views.pool.rotations, before)
    next(batches.epoch(4))
    assert not torch.equal(views.pool.rotations, before)


def test_beside_gpa_each_pose_is_aligned_with_whom_it_takes_after(source, target):
    """Turned ones with the pose of the pool, the others with that of the batch; what is compared is the batch's, and of one size."""
    poses, _, intrinsics, inputs = target
    views = of(poses, inputs, intrinsics)
    views.look()
    count, up = len(source), camera_up(source.sequences)
    lenses_t = torch.tensor([2.3, 2.3, 0.0, 0.0]).expand(count, 4)
    batch = (
        source.inputs_2d,
        source.targets_3d,
        source.roots_3d,
        up,
        screen_intrinsics(source.sequences),
        source.inputs_2d * 0.5,
        lenses_t,
    )
    scale = Scale("box", 0.6)
    plain, sized = (
        Views(False, True, False, ("inputs_t",), how, views.turned).see(batch, generator()) for how in (AS_IT_IS, scale)
    )
    rows = views.pool.draw(count, drawn := generator())
    chosen = torch.rand(count, generator=drawn) < 0.5
    expected = torch.where(chosen[:, None], inputs[rows, 0], batch[5][:, 0])
    torch.testing.assert_close(plain[0][:, 0], expected, atol=1e-4, rtol=0)
    assert torch.equal(plain[1][~chosen], source.targets_3d[~chosen])
    assert torch.equal(plain[2], batch[5])
    assert torch.equal(sized[0], scale(plain[0]))
    assert torch.equal(sized[2], scale(batch[5]))


@pytest.mark.parametrize("holds", [{}, {"num_joints": 16}])  # the first as checkpoints have it that are older than poses
def test_a_pool_is_rebuilt_from_a_checkpoint_s_description(holds):
    pool = build({"name": "view_pool", "size": 5} | holds)
    pool.fill(
        torch.eye(3).expand(5, 3, 3), torch.ones(5, 3), torch.ones(5, 16, 3), torch.tensor([True, False, False, True, False])
    )
    assert set(pool.draw(50, generator()).tolist()) == {0, 3}
    for description in ({"name": "view_pool", "size": 5} | holds, pool.description()):
        other = build(description)
        assert len(other.draw(50, generator())) == 0
        other.load_state_dict(pool.state_dict())
        assert torch.equal(other.draw(50, generator()), pool.draw(50, generator()))
        kept = other.state_dict()
        assert ("bones" in kept) == bool(holds)
        assert all(torch.equal(value, kept[name]) for name, value in pool.state_dict().items())
