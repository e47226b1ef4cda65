"""`--teacher`: a running average that lives in checkpoints, what it makes of other views, and how much each joint of it counts."""

import argparse
import math
from unittest import mock

import pytest
import torch
from torch import nn

from common.adaptation import teacher as module
from common.adaptation.dua import dua_loss
from common.adaptation.teacher import Teacher, expected_error, trust
from common.datasets.views import Scale
from common.evaluation.test_time import mirrored
from common.geometry.skeleton import MIRROR
from common.training.checkpoint import load_checkpoint
from common.training.optimisation import Optimisation
from models import build
from models.domain_norm import DomainBatchNorm1d, separate_domains
from tests.adaptation.test_beyond import SCRIPTS, adapt, results_of
from tests.helpers.script_tools import (
    QUICK,
    assert_one_line,
    assert_resumes_to_the_same_bits,
    assert_same_bits,
    attempt,
    run_here,
    weights,
)

CPU = torch.device("cpu")
NO_FEATURES = torch.empty(0)
INTRINSICS = torch.tensor([[2.3, 2.2, 0.1, -0.2]])


def target(count=12):
    """inputs, intrinsics of a batch."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 16, 2, generator=generator) * 0.3, INTRINSICS.expand(count, 4)


class Straight(nn.Module):
    """Lifts each joint to its ray about the hip's at 5 m: what is mirrored or rolled of its inputs is so of its poses."""

    def __init__(self, shift=0.0):
        super().__init__()
        self.lens = nn.Parameter(torch.tensor([2.3, 2.2]), requires_grad=False)
        self.shift = shift

    def forward(self, inputs):
        rays = inputs / self.lens
        flat = 5 * (rays - rays[:, :1])
        poses = torch.cat([flat, flat.norm(dim=-1, keepdim=True)], dim=-1)
        return poses + self.shift, poses.flatten(1)


class Foresees(nn.Module):
    unit = "metres"

    def __init__(self, metres):
        super().__init__()
        self.metres = nn.Parameter(torch.tensor(metres), requires_grad=False)

    def forward(self, features):
        return self.metres.expand(len(features), 16)


def teacher_of(networks, **options):
    return Teacher(networks, networks, **{"weight": 1.0, "decay": 0.99, "warm_up": 0, "seed": 0} | options)


def test_a_network_that_turns_with_the_picture_agrees_with_itself():
    inputs, intrinsics = target()
    intrinsics = intrinsics * torch.tensor([1, 1, 0, 0])  # a mirrored picture has its middle on the other side
    teacher = teacher_of({"lifter": Straight()})
    poses, _ = Straight()(inputs)
    found = teacher(poses, NO_FEATURES, (inputs, intrinsics), 3)
    assert found["loss"] == found["teacher_loss"]
    assert found["loss"].item() == pytest.approx(0, abs=1e-5)
    assert found["teacher_trust"] == 1
    off = poses + torch.tensor([0.0, 0.3, 0.4])
    assert teacher(off, NO_FEATURES, (inputs, intrinsics), 3)["loss"].item() == pytest.approx(0.5, abs=1e-5)
    other = teacher_of(
        {"lifter": Straight(torch.tensor([0.2, 0.0, 0.0]))}
    )  # what is right of it in one view is left in the other
    found = other(poses, NO_FEATURES, (inputs, intrinsics), 3)["loss"].item()
    assert 0 < found < 0.01  # so that the mean of both takes most of it away


def test_a_network_that_turns_with_the_picture_agrees_with_itself_in_steps_of_fewer_bits():
    inputs, intrinsics = target()
    intrinsics = intrinsics * torch.tensor([1, 1, 0, 0])
    poses, _ = Straight()(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = teacher_of({"lifter": Straight()})(poses, NO_FEATURES, (inputs, intrinsics), 3)
    assert found["loss"].item() == pytest.approx(0, abs=1e-5)


def test_a_roll_is_about_the_principal_point():
    """Of cameras whose middle is elsewhere and whose pixels are not square: to the pixels of the rolled body."""
    inputs, intrinsics = target(4)
    angles = torch.tensor([0.05, -0.08, 0.0, 0.02])
    seen = []

    def lifter(views):
        seen.append(views)
        return torch.zeros(len(views), 16, 3), torch.zeros(len(views), 4)

    network = Straight()
    teacher = teacher_of({"lifter": network})
    with mock.patch.object(network, "forward", lifter):
        teacher.predict(inputs, intrinsics, angles)
    flipped, rolled = seen[0].chunk(2)
    assert torch.equal(flipped, mirrored(inputs))
    fx, fy, cx, cy = INTRINSICS[0]
    for i, angle in enumerate(angles.tolist()):
        x, y = (inputs[i, :, 0] - cx) / fx, (inputs[i, :, 1] - cy) / fy
        turned = (math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y)
        torch.testing.assert_close(rolled[i], torch.stack([turned[0] * fx + cx, turned[1] * fy + cy], dim=-1))


@pytest.mark.parametrize("scale", [Scale("box", 0.6), Scale("spread")])
def test_pictures_are_rolled_as_they_were_filmed_and_then_brought_to_one_size(scale):
    inputs, intrinsics = target(4)
    angles, seen = torch.tensor([0.08, -0.08, 0.0, 0.05]), []

    def lifter(views):
        seen.append(views)
        return torch.zeros(len(views), 16, 3), torch.zeros(len(views), 4)

    network = Straight()
    with mock.patch.object(network, "forward", lifter):
        teacher_of({"lifter": network}).predict(inputs, intrinsics, angles)
        teacher_of({"lifter": network}, scale=scale).predict(*scale.with_lens(inputs, intrinsics), angles)
    plain, sized = seen
    torch.testing.assert_close(sized, scale(plain), atol=1e-5, rtol=0)
    torch.testing.assert_close(scale(sized), sized, atol=1e-5, rtol=0)  # all of it is of that size


def test_views_are_drawn_by_seed_and_step_within_five_degrees_and_shared():
    teacher = teacher_of({"lifter": Straight()}, seed=4)
    angles = teacher.angles(1000, step=7)
    assert torch.equal(angles, teacher.angles(1000, step=7))
    assert not torch.equal(angles, teacher.angles(1000, step=8))
    assert math.radians(4.9) < angles.max() <= math.radians(5)
    assert math.radians(-5) <= angles.min() < math.radians(-4.9)
    shares = []
    for number in range(2):
        with mock.patch.multiple(module, rank=lambda n=number: n, world_size=lambda: 2):
            shares.append(teacher.angles(500, step=7))
    assert torch.equal(torch.cat(shares), angles)
    assert len(teacher_of({"lifter": Straight()}, seed=2**63 - 1).angles(2, step=7)) == 2  # the largest that --seed takes


def test_joints_count_less_where_larger_errors_are_expected():
    errors = torch.tensor([0.0, 0.05, 0.1, 0.45])
    torch.testing.assert_close(trust(errors), torch.tensor([1, 1 / 2, 1 / 3, 0.1]))
    poses = torch.tensor([[[0.0, 0, 0], [0.3, 0, 0.4]]])
    torch.testing.assert_close(expected_error(torch.tensor([[0.0, 0.1]]), poses, "relative"), torch.tensor([[0.0, 0.1]]))
    drawn = torch.randn(100_000, 3, generator=torch.Generator().manual_seed(0)) * 0.02
    spread = expected_error(torch.tensor([[0.02]]), poses[:, 1:], "metres")
    assert spread.item() == pytest.approx(drawn.norm(dim=1).mean().item(), rel=0.01)


def test_the_estimators_output_is_the_weight_of_each_joint():
    inputs, intrinsics = target()
    sigma = torch.linspace(0.01, 0.3, 16)
    teacher = teacher_of({"lifter": Straight(), "uncertainty": Foresees(sigma.tolist())})
    poses, counts = teacher.predict(inputs, intrinsics, torch.zeros(len(inputs)))
    both = (sigma + sigma[list(MIRROR)]) / 2 * math.sqrt(8 / math.pi)  # what a side is in the mirror is the other one
    torch.testing.assert_close(counts[3], 0.05 / (0.05 + both))
    off = poses + torch.rand(12, 16, 3)
    expected = (counts * (off - poses).norm(dim=-1))[:, 1:].mean()
    torch.testing.assert_close(teacher(off, NO_FEATURES, (inputs, intrinsics), 0)["teacher_loss"], expected, atol=0.03, rtol=0)
    less = teacher_of({"lifter": Straight(), "uncertainty": Foresees((2 * sigma).tolist())})
    assert (less.predict(inputs, intrinsics, torch.zeros(12))[1] < counts).all()


def test_its_weight_rises_from_nothing():
    inputs, intrinsics = target()
    poses = torch.zeros(12, 16, 3)

    def share(step, warm_up):
        found = teacher_of({"lifter": Straight()}, weight=0.3, warm_up=warm_up)(poses, NO_FEATURES, (inputs, intrinsics), step)
        return (found["loss"] / found["teacher_loss"]).item()

    shares = [share(step, 8) for step in (0, 2, 8, 20)] + [share(0, 0)]
    assert shares == pytest.approx([0, 0.075, 0.3, 0.3, 0.3])


def small(domain_bn=False):
    torch.manual_seed(0)
    description = {"name": "martinez", "num_joints": 16, "hid_dim": 8, "num_layers": 1, "dropout": 0.5}
    network = build(description)
    return {
        "lifter": (separate_domains(network) if domain_bn else network).train(),
        "uncertainty": build({"name": "uncertainty", "feature_size": 8, "num_joints": 16}),
    }


class Run:
    """What `Teacher.of` asks of an experiment."""

    def stored(self, name):
        return None

    def freeze(self, name, network, description):
        return network.eval().requires_grad_(False)


def taught(decay=0.5, domain_bn=False):
    networks = small(domain_bn)
    options = {"teacher_weight": 0.5, "teacher_decay": decay, "teacher_warmup": 2, "seed": 3}
    before = torch.random.get_rng_state()
    teacher = Teacher.of(Run(), argparse.Namespace(**options), networks, {role: {} for role in networks})
    assert torch.equal(torch.random.get_rng_state(), before)  # nothing else of the run is drawn otherwise
    return networks, teacher


@pytest.mark.parametrize("decay", [0.15, 0.9])
def test_it_is_the_average_of_the_weights_and_statistics_after_each_step(decay):
    networks, teacher = taught(decay)
    args = argparse.Namespace(
        lr=0.01, lr_decay=1000, lr_gamma=1.0, schedule="published", precision="float32", compile=False, on_nan="stop", max_norm=True,
        uncertainty_on=True, uncertainty_weight=1.0, uncertainty_loss="relative", discrepancy=None, domain_on=False,
    )  # fmt: skip
    inputs, intrinsics = target()
    batch = (inputs * 1.1, torch.rand(12, 16, 3), inputs, intrinsics)
    optimisation = Optimisation(networks, lambda batch, step: dua_loss(args, networks, batch, step, [teacher]), args, CPU, 3)

    def state(of):
        return {
            f"{role}.{name}": value.clone()
            for role in of
            for name, value in of[role].state_dict().items()
            if value.is_floating_point()
        }

    expected = state(networks)
    for step in (1, 2, 3):
        losses = optimisation.step(batch)
        teacher.follow(step)
        share = min(decay, (1 + step) / (10 + step))
        expected = {name: share * value + (1 - share) * state(networks)[name] for name, value in expected.items()}
    found = state(teacher.networks)
    assert any("running_var" in name for name in found)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
        assert not torch.equal(value, state(networks)[name]), name
    total = losses["pose_loss"] + losses["uncertainty_loss"] + 0.5 * losses["teacher_loss"]  # step 2 of 2: its whole weight
    torch.testing.assert_close(losses["loss"], total)
    assert not any(parameter.requires_grad for network in teacher.networks.values() for parameter in network.parameters())


def test_it_predicts_as_tests_of_the_target_do():
    """Without dropout, with the target's statistics where there are two sets, and it changes none."""
    _, teacher = taught(domain_bn=True)
    norms = [layer for layer in teacher.networks["lifter"].modules() if isinstance(layer, DomainBatchNorm1d)]
    assert norms
    assert all(layer.domain == "target" for layer in norms)
    inputs, intrinsics = target()
    before = [tensor.clone() for tensor in teacher.networks["lifter"].state_dict().values()]
    first, second = (teacher.predict(inputs, intrinsics, torch.zeros(12))[0] for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(before, teacher.networks["lifter"].state_dict().values(), strict=True))
    assert not first.requires_grad


# --- in the scripts -----------------------------------------------------------------------------------------------------

OPTIONS = ("--teacher", "--teacher_weight", 2, "--teacher_warmup", 1)


@pytest.mark.parametrize("source", SCRIPTS)
def test_it_works_with_and_without_the_estimator_and_is_named(demo, tmp_path, source):
    for off, roles in ((["--no_domain"], {"uncertainty", "teacher_uncertainty"}), (["--no_domain", "--no_uncertainty"], set())):
        run, process = adapt(demo, tmp_path / f"{len(off)}", "--no_converter", *off, *OPTIONS, source=source)
        checkpoint = load_checkpoint(run / "ckpt_last.pth.tar")
        assert set(checkpoint["networks"]) == set(checkpoint["weights"]) == {"lifter", "teacher"} | roles
        row = checkpoint["training"]["history"][0]
        assert (row["teacher_trust"] < 1) == bool(roles)
        modules = results_of(run)["modules"]
        assert modules == ["uncertainty"] * bool(roles) + ["teacher"]
        assert f"martinez + {' + '.join(modules)}, " in process.stdout


def test_the_result_is_the_student(demo, tmp_path):
    """Whose weights a teacher without weight leaves as they are, and which tests and scripts take."""
    silent, _ = adapt(demo, tmp_path / "silent", "--no_converter", "--teacher", "--teacher_weight", 0)
    without, _ = adapt(demo, tmp_path / "without", "--no_converter")
    first, second = (weights(run / "ckpt_last.pth.tar") for run in (silent, without))
    assert all(torch.equal(first[name], value) for name, value in second.items())
    assert results_of(silent)["average"] == results_of(without)["average"]
    averages = {name: value for name, value in first.items() if name.startswith("teacher.") and name.endswith("weight")}
    assert averages
    assert all(not torch.equal(value, first[name.replace("teacher.", "lifter.")]) for name, value in averages.items())
    process = run_here("evaluate.py", silent, "--data_dir", demo, "--downsample", 3, "--out", tmp_path / "table")
    assert process.returncode == 0, process.stderr
    assert f"{results_of(silent)['average']['mpjpe']:.1f}" in (tmp_path / "table.csv").read_text()


BESIDE_OTHERS = ("--schedule", "fast", "--align", "canonical", "views", "--views_warm_up", 1, "--scale", "box", "--reproject")


@pytest.mark.parametrize("options", [("--no_domain",), pytest.param(BESIDE_OTHERS, marks=pytest.mark.campaign)])
def test_a_run_that_was_killed_goes_on_to_the_same_bits(demo, converter, tmp_path, options):
    run, _ = adapt(demo, tmp_path / "runs", "--converter", converter, *OPTIONS, *options, "--epochs", 2, "--snapshot", 1)
    assert_resumes_to_the_same_bits("train_surreal.py", run, "snapshot_epoch_1.pth.tar", tmp_path)
    again, _ = adapt(demo, tmp_path / "again", "--converter", converter, *OPTIONS, *options, "--epochs", 2, "--snapshot", 1)
    assert_same_bits(run / "ckpt_last.pth.tar", again / "ckpt_last.pth.tar")


def test_bad_combinations(demo, converter, tmp_path):
    data = ("--data_dir", demo, "--converter", converter, *QUICK)

    def refused(script, *options):
        return attempt(tmp_path, *SCRIPTS[script], *data, *options)

    for option in ("--teacher_weight", "--teacher_decay", "--teacher_warmup"):
        assert_one_line(refused("surreal", option, 0), option, "--teacher", "leave it out")
    assert_one_line(refused("h36m", "--teacher", "--teacher_decay", 1), "--teacher_decay 1", "less than 1")
    assert_one_line(refused("h36m", "--teacher", "--teacher_warmup", -1), "--teacher_warmup -1")
    process = attempt(tmp_path, "train_surreal.py", "--no_dua", "--data_dir", demo, "--teacher")
    assert_one_line(process, "--teacher", "of no use in domain")
    run, _ = adapt(demo, tmp_path / "made", "--no_converter", "--no_domain")
    process = run_here("train_surreal.py", "--evaluate", run, "--data_dir", demo, "--teacher")
    assert_one_line(process, "--teacher", "leave it out")
