"""`--reproject`: what is seen where the 2D is costs nothing, what is not is moved there, and bodies stay bodies before the camera."""

import numpy as np
import pytest
import torch

from common.adaptation.beyond import target_losses
from common.adaptation.reproject import BoneLengths, Reprojection, reprojection_loss
from common.adaptation.training_views import adapted_batches
from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m
from common.datasets.poses import Poses, split_validation
from common.datasets.surreal import load_surreal
from common.datasets.views import Scale, canonical, rotation_between
from common.geometry.bones import bone_lengths
from common.geometry.joints_in_2d import BackToInputs
from common.geometry.placement import place
from common.geometry.skeleton import JOINT_NAMES, MIRROR, PARENTS
from common.training.arguments import Arguments
from common.training.checkpoint import load_checkpoint, rebuild_networks
from tests.adaptation.test_beyond import OFF, SCRIPTS, adapt
from tests.helpers.script_tools import QUICK, assert_one_line, assert_resumes_to_the_same_bits, assert_same_bits, attempt

CPU = torch.device("cpu")
NO_FEATURES = torch.empty(0)


@pytest.fixture(scope="module")
def h36m(demo):
    return load_h36m(demo, subjects=TRAIN_SUBJECTS, downsample=40)


def batch_of(poses, align=(), batch_size=64):
    """inputs, intrinsics and rays of a target's first batch as training makes it, and the rows that they are of."""
    options = {"align": list(align), "augment": False, "given": set(), "domain_on": False, "reproject": True}
    args = Arguments(**options, batch_size=batch_size, seed=5)
    batches, *_ = adapted_batches(args, poses, None, poses.unlabelled, CPU)
    *_, inputs, intrinsics, rays = next(iter(batches.epoch(0)))
    known = canonical(poses).inputs_2d if "canonical" in align else poses.inputs_2d
    rows = [int((known - one).abs().amax((1, 2)).argmin()) for one in inputs]
    return (inputs, intrinsics, rays), rows


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("align", [[], ["canonical"], ["canonical", "gpa"]])
def test_pictures_of_one_size_come_with_the_lens_that_shows_them_and_the_rays_as_filmed(h36m, align, augment):
    options = {
        "align": align,
        "augment": augment,
        "given": set(),
        "domain_on": False,
        "reproject": True,
        "batch_size": 64,
        "seed": 5,
    }
    first = []
    for scale in ({}, {"scale": "box", "scale_size": 0.6}):
        batches, *_ = adapted_batches(Arguments(**options, **scale), h36m, None, h36m.unlabelled, CPU)
        first.append(next(iter(batches.epoch(0)))[2:])
    (inputs, intrinsics, rays), (sized, lenses, same) = first
    assert torch.equal(rays, same)
    assert torch.equal(sized, Scale("box", 0.6)(inputs))
    assert (sized - inputs).abs().max() > 0.05
    before, after = ((x - lens[:, None, 2:]) / lens[:, None, :2] for x, lens in ((inputs, intrinsics), (sized, lenses)))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def body(dtype=torch.float64):
    """(16, 3) a symmetric standing body, arms out, a little turned from the camera."""
    x = {
        "Hip": 0,
        "Spine": 0,
        "Thorax": 0,
        "Head": 0,
        "Hips": 0.13,
        "Knee": 0.15,
        "Foot": 0.17,
        "Shoulder": 0.2,
        "Elbow": 0.45,
        "Wrist": 0.7,
    }
    y = {
        "Hip": 0,
        "Spine": -0.25,
        "Thorax": -0.5,
        "Head": -0.75,
        "Hips": 0.02,
        "Knee": 0.47,
        "Foot": 0.9,
        "Shoulder": -0.45,
        "Elbow": -0.4,
        "Wrist": -0.42,
    }
    z = {"Knee": -0.05, "Foot": 0.1, "Elbow": 0.1, "Wrist": -0.1}
    points = []
    for name in JOINT_NAMES:
        side = {"L": 1, "R": -1}.get(name[0], 0)
        key = (name[1:] if side else name).replace("Hip", "Hips" if side else "Hip")
        points.append([side * x[key], y[key], z.get(key, 0)])
    pose = torch.tensor(points, dtype=dtype)
    turn = torch.tensor([[0.8, 0, 0.6], [0, 1, 0], [-0.6, 0, 0.8]], dtype=dtype)
    return pose @ turn.T


def rays_of(pose, root=(0.4, -0.2, 5.0)):
    points = pose + torch.tensor(root, dtype=pose.dtype)
    return (points / points[:, 2:])[None]


@pytest.mark.parametrize("align", [(), ("canonical",)])
@pytest.mark.parametrize("name", ["h36m", "surreal"])
def test_labels_are_seen_where_their_2d_is(demo, h36m, name, align):
    """Through lenses that distort, before cameras that are turned, and the root is where the label has it."""
    poses = h36m if name == "h36m" else load_surreal(demo, "train", downsample=40)
    target, rows = batch_of(poses, align)
    learnt = (canonical(poses) if align else poses).targets_3d[rows]
    term = Reprojection(0.5, BoneLengths.of(poses), bool(align))
    found = term(learnt, NO_FEATURES, target, 0)
    assert found["reprojection_loss"] < 2e-5  # a hundredth of the knee is 5e-5; SURREAL's 2D are rounded floats
    torch.testing.assert_close(term.in_camera(learnt, target[2]), poses.targets_3d[rows], atol=1e-5, rtol=0)
    roots, known = place(poses.targets_3d[rows], target[2])
    assert known.all()
    assert (roots - poses.roots_3d[rows]).norm(dim=1).max() < 0.02 * poses.roots_3d[:, 2].max()
    torch.testing.assert_close(found["loss"], 0.5 * (found["reprojection_loss"] + 0.2 * found["bone_loss"]))
    assert term(learnt.roll(1, 0), NO_FEATURES, target, 0)["reprojection_loss"] > 5e-3


def test_its_gradient_is_that_of_differences_and_moves_a_wrong_pose_to_the_right_one():
    right = body()
    rays = rays_of(right)
    wrong = right + 0.1 * torch.randn(16, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrong = (wrong - wrong[:1])[None].requires_grad_()
    loss = reprojection_loss(wrong, rays)
    (gradient,) = torch.autograd.grad(loss, wrong)
    differences = torch.zeros_like(wrong)
    for joint in range(16):
        for axis in range(3):
            step = torch.zeros_like(wrong)
            step[0, joint, axis] = 1e-6
            differences[0, joint, axis] = (reprojection_loss(wrong + step, rays) - reprojection_loss(wrong - step, rays)) / 2e-6
    torch.testing.assert_close(gradient, differences, atol=1e-8, rtol=1e-5)
    moved = wrong.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([moved], lr=3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        last = reprojection_loss(moved, rays)
        last.backward()
        optimizer.step()
    assert last < 0.01 * loss
    across = [
        (pose - right)[:, :2].norm(dim=-1).mean() for pose in (wrong[0].detach(), moved[0].detach() - moved[0, :1].detach())
    ]
    assert across[1] < 0.6 * across[0]  # the depth of each joint is not seen


def test_a_pose_cannot_hide_behind_the_camera_or_shrink():
    pose, rays = body(), rays_of(body())
    scale = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    roots, _ = place(scale * pose[None], rays, torch.ones(1, 16, dtype=torch.float64), 1e-8)
    assert roots[0, 2] < -4  # its image in the camera's centre lies on the same lines
    loss = reprojection_loss(scale * pose[None], rays)
    assert loss > 1
    assert torch.autograd.grad(loss, scale)[0] < -1  # so that it grows to the other side
    assert reprojection_loss(0 * pose[None], rays) >= 0.5
    assert BoneLengths.of(bodies(pose[None])).loss(0.1 * pose[None]) > 0.1
    assert reprojection_loss(0.7 * pose[None], rays) == pytest.approx(0, abs=1e-9)  # sizes are the bones' matter


def test_2d_that_does_not_say_how_far_away_it_is_does_not_count():
    pose, rays = body()[None].repeat(2, 1, 1).requires_grad_(), rays_of(body()).repeat(2, 1, 1)
    rays[0] = torch.tensor([0.1, 0.2, 1.0])
    loss = reprojection_loss(pose, rays)
    assert loss.item() == pytest.approx(0, abs=1e-9)
    loss.backward()
    assert torch.isfinite(pose.grad).all()
    assert (pose.grad[0] == 0).all()


def bodies(poses_3d):
    return Poses("made", torch.zeros(len(poses_3d), 16, 2), poses_3d, ())


def test_bones_cost_nothing_within_the_sources_spread_and_by_the_metre_beyond_it():
    pose = body()
    known = BoneLengths.of(bodies(torch.stack([0.9 * pose, 1.1 * pose])))
    lengths = (pose[1:] - pose[list(PARENTS[1:])]).norm(dim=-1)
    torch.testing.assert_close(known.mean, lengths.float())
    torch.testing.assert_close(known.deviation, 0.1 * lengths.float())
    assert known.loss(pose[None]) == pytest.approx(0, abs=1e-7)
    for scale in (0.92, 1.08):
        assert known.loss(scale * pose[None]) == pytest.approx(0, abs=1e-7)
    assert known.loss(1.3 * pose[None]).item() == pytest.approx(0.2 * lengths.mean().item(), rel=1e-5)
    longer, elbow, wrist = pose.clone(), JOINT_NAMES.index("LElbow"), JOINT_NAMES.index("LWrist")
    longer[wrist] = pose[elbow] + 1.5 * (pose[wrist] - pose[elbow])
    forearm = lengths[wrist - 1].item()
    assert known.loss(longer[None]).item() == pytest.approx(0.5 * forearm / 6 + 0.4 * forearm / 15, rel=1e-5)
    mirror = longer[list(MIRROR)] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(known.loss(mirror[None]), known.loss(longer[None]))


def test_bones_are_of_the_labels_that_are_learnt(h36m):
    found = BoneLengths.of(h36m)
    lengths = bone_lengths(h36m.targets_3d).numpy()
    np.testing.assert_allclose(found.mean, lengths.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.deviation, lengths.std(0), atol=1e-4)


def test_what_a_converter_made_can_be_undone(demo, converter):
    """The joints of SURREAL's 2D come back to some millimetres; they are fifty from those that are predicted."""
    network = rebuild_networks(load_checkpoint(converter / "ckpt_best.pth.tar"), converter)["converter"]
    poses = load_surreal(demo, "test", downsample=20)
    with torch.no_grad():
        learnt = network.convert(poses.targets_3d)
    term = Reprojection(1.0, BoneLengths.of(poses), canonical=False, in_2d=BackToInputs.of(network))
    back = term.in_camera(learnt, torch.zeros(0))
    errors = [(found - poses.targets_3d)[:, 1:].norm(dim=-1).mean().item() for found in (back, learnt)]
    assert errors[0] < 0.008
    assert errors[1] > 0.04
    assert (back[:, 0] == 0).all()
    canonical_term = Reprojection(1.0, BoneLengths.of(poses), canonical=True, in_2d=BackToInputs.of(network))
    target, rows = batch_of(poses, ("canonical",))
    turned = torch.einsum("nij,nkj->nki", rotation_between(target[2][:, 0], (0.0, 0.0, 1.0)), learnt[rows])
    torch.testing.assert_close(canonical_term.in_camera(turned, target[2]), back[rows], atol=1e-4, rtol=0)


# --- in the scripts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SCRIPTS)
def test_it_works_alone_and_is_the_same_each_time(demo, converter, tmp_path, source):
    options = ("--converter", converter, "--no_uncertainty", "--no_domain", "--reproject", "--align", "canonical")
    run, process = adapt(demo, tmp_path / "first", *options, source=source)
    row = load_checkpoint(run / "ckpt_last.pth.tar")["training"]["history"][0]
    assert row["loss"] > row["pose_loss"] + 0.1 * row["reprojection_loss"] > row["pose_loss"]
    assert " + converter + canonical + reproject" in process.stdout
    again, _ = adapt(demo, tmp_path / "again", *options, source=source)
    assert_same_bits(run / "ckpt_last.pth.tar", again / "ckpt_last.pth.tar")


def test_it_goes_on_to_the_same_bits_beside_drawn_views(demo, converter, tmp_path):
    options = ("--reproject", "--domain_bn", "--align", "gpa", "--augment", "--schedule", "fast", "--epochs", 2, "--snapshot", 1)
    run, _ = adapt(demo, tmp_path / "runs", "--converter", converter, *options)
    assert_resumes_to_the_same_bits("train_surreal.py", run, "snapshot_epoch_1.pth.tar", tmp_path)


def test_bones_are_of_the_training_clips(demo):
    """Not of those that choose the epoch."""
    train, _ = split_validation(load_surreal(demo, "train", downsample=40))
    args = Arguments(reproject=True, teacher=False, reproject_weight=1.0, align=[], given=set())

    class Run:
        device = CPU

    (term,), after_step = target_losses(Run(), args, {}, {}, train, None)
    assert after_step is None
    assert torch.equal(term.bones.mean, BoneLengths.of(train).mean)


def test_bad_combinations(demo, converter, tmp_path):
    data = ("--data_dir", demo, "--converter", converter, *QUICK)

    def refused(script, *options):
        return attempt(tmp_path, *SCRIPTS[script], *data, *options)

    assert_one_line(refused("surreal", "--reproject_weight", 1), "--reproject_weight", "leave it out")
    assert_one_line(refused("h36m", "--reproject", "--reproject_weight", -1), "--reproject_weight -1", "at least 0")
    assert_one_line(refused("surreal", "--reproject", "-k", "detector"), "--keypoints detector", "--reproject")
    assert_one_line(refused("h36m", *OFF, "--domain_bn"), "--domain_bn", "leave it out")
    process = attempt(tmp_path, "train_surreal.py", "--no_dua", "--data_dir", demo, "--reproject")
    assert_one_line(process, "--reproject", "of no use in domain")
