"""DUA's objective term by term, how two domains share a batch, and which experiment `train_surreal.py` is."""

import argparse
import math

import pytest
import torch
from torch.nn import functional as F

from common.adaptation.dua import dua_descriptions, dua_loss, forward_domains
from common.adaptation.options import add_dua_arguments, decide_dua
from common.errors import DuaError
from common.evaluation.losses import gaussian_nll, relative_error
from common.training.arguments import Arguments
from common.training.checkpoint import save_checkpoint, skeleton_entry
from common.training.networks import add_network_arguments
from models import build
from models.domain_classifier import warm_start


def options(*argv):
    parser = argparse.ArgumentParser()
    add_network_arguments(parser)
    add_dua_arguments(parser, in_domain=True)
    small = ("--hid_dim", 8, "--num_layers", 1, "--dropout", 0, "--domain_hid_dim", 8)
    return parser.parse_args([str(part) for part in (*small, *argv)])


def networks(args):
    torch.manual_seed(0)
    return {role: build(description).train() for role, description in dua_descriptions(args).items()}


def batch(target=True):
    generator = torch.Generator().manual_seed(1)
    inputs_s, inputs_t = torch.randn(2, 12, 16, 2, generator=generator)
    targets_s = torch.randn(12, 16, 3, generator=generator)
    targets_s = targets_s - targets_s[:, :1]
    return (inputs_s, targets_s, inputs_t * 2 + 1) if target else (inputs_s, targets_s)


def gradients(args, step=0):
    trained = networks(args)
    terms = dua_loss(args, trained, batch(), step)
    terms["loss"].backward()
    return {role: [parameter.grad for parameter in network.parameters()] for role, network in trained.items()}


def test_the_loss_is_the_written_one():
    args, step = options("--domain_weight", 0.3, "--uncertainty_weight", 0.7), 400
    terms = dua_loss(args, networks(args), batch(), step)
    again = networks(args)
    inputs_s, targets_s, inputs_t = batch()
    poses_s, features = again["lifter"](inputs_s)
    poses = torch.cat([poses_s, again["lifter"](inputs_t)[0]])
    difference = (poses_s - targets_s)[:, 1:]
    pose = difference.pow(2).mean() + 0.1 * difference.abs().mean()
    guess = again["uncertainty"](features)
    uncertainty = (guess - relative_error(poses_s, targets_s))[:, 1:].abs().mean()
    logits = again["domain"](poses[:, 1:].flatten(1))
    domain = (F.softplus(-logits[:12]).sum() + F.softplus(logits[12:]).sum()) / 24
    torch.testing.assert_close(terms["pose_loss"], pose)
    torch.testing.assert_close(terms["uncertainty_loss"], uncertainty)
    torch.testing.assert_close(terms["domain_loss"], domain)
    torch.testing.assert_close(terms["loss"], pose + 0.7 * uncertainty + 0.3 * domain)
    torch.testing.assert_close(terms["mpjpe"], torch.linalg.vector_norm(poses_s - targets_s, dim=-1).mean())
    right = (logits[:12] > 0).sum() + (logits[12:] <= 0).sum()
    assert terms["domain_accuracy"].item() == pytest.approx(right.item() / 24)


@pytest.mark.parametrize("network", ["martinez", "semgcn"])
def test_the_classifier_may_be_given_features(network):
    args = options(
        "--domain_of",
        "features",
        "--domain_weight",
        0.3,
        "--network",
        network,
        *(["--num_layers", 1] if network == "semgcn" else []),
    )
    terms = dua_loss(args, networks(args), batch(), 400)
    again = networks(args)
    inputs_s, _, inputs_t = batch()
    features = torch.cat([again["lifter"](inputs)[1] for inputs in (inputs_s, inputs_t)])
    logits = again["domain"](features)
    domain = (F.softplus(-logits[:12]).sum() + F.softplus(logits[12:]).sum()) / 24
    torch.testing.assert_close(terms["domain_loss"], domain)


def test_default_weights_are_the_papers():
    args = options()
    terms = dua_loss(args, networks(args), batch(), 0)
    torch.testing.assert_close(
        terms["loss"], terms["pose_loss"] + 0.001 * terms["uncertainty_loss"] + 0.001 * terms["domain_loss"]
    )
    assert options().grl == "warm"
    assert (args.grl_alpha, args.grl_steps) == (1.0, 1000)


@pytest.mark.parametrize(
    ("off", "roles", "terms"),
    [
        (["--no_uncertainty"], {"lifter", "domain"}, {"domain_loss", "domain_accuracy"}),
        (["--no_domain"], {"lifter", "uncertainty"}, {"uncertainty_loss"}),
        (["--no_uncertainty", "--no_domain"], {"lifter"}, set()),
    ],
)
def test_each_module_switches_off_by_itself(off, roles, terms):
    args = options(*off)
    trained = networks(args)
    assert set(trained) == roles
    found = dua_loss(args, trained, batch(target="domain" in roles), 0)
    assert set(found) == {"loss", "pose_loss", "mpjpe"} | terms


def test_the_estimator_may_be_a_gaussian_one():
    args = options("--uncertainty_loss", "nll", "--uncertainty_weight", 0.7)
    terms = dua_loss(args, networks(args), batch(), 0)
    again = networks(args)
    inputs_s, targets_s, _ = batch()
    poses_s, features = again["lifter"](inputs_s)
    expected = gaussian_nll(again["uncertainty"](features), poses_s, targets_s)
    torch.testing.assert_close(terms["uncertainty_loss"], expected)
    torch.testing.assert_close(terms["loss"], terms["pose_loss"] + 0.7 * expected + 0.001 * terms["domain_loss"])
    with pytest.raises(DuaError, match="--no_uncertainty"):
        dua_descriptions(options("--uncertainty_loss", "nll", "--no_uncertainty"))


def statistics(network):
    return {name: value for name, value in network.state_dict().items() if "running" in name}


def forward(*argv, target=True):
    """(lifter, poses_s, poses_t) after one pass in training mode."""
    lifter = networks(options(*argv))["lifter"]
    inputs_s, _, inputs_t = batch()
    poses_s, _, poses_t, _ = forward_domains(lifter, inputs_s, inputs_t if target else None)
    return lifter, poses_s, poses_t


def test_each_domain_is_normalised_by_its_own_batch():
    """What is lifted of the source does not depend on the target, whichever statistics are kept; nor the other way round."""
    alone = forward(target=False)
    assert alone[2] is None
    for argv in ((), ("--domain_bn",)):
        _, poses_s, poses_t = forward(*argv)
        torch.testing.assert_close(poses_s, alone[1])
        lifter, (_, _, inputs_t) = networks(options())["lifter"], batch()
        torch.testing.assert_close(poses_t, lifter(inputs_t)[0])


def test_one_set_of_statistics_is_fed_by_both_domains_in_turn():
    lifter, _, _ = forward()
    by_hand = networks(options())["lifter"]
    inputs_s, _, inputs_t = batch()
    by_hand(inputs_s)
    by_hand(inputs_t)
    assert all(torch.equal(value, statistics(by_hand)[name]) for name, value in statistics(lifter).items())
    source_alone, _, _ = forward(target=False)
    for name, value in statistics(source_alone).items():
        assert not torch.allclose(value, statistics(lifter)[name]), name


def test_domain_bn_keeps_a_set_for_each_domain():
    lifter, _, _ = forward("--domain_bn")
    for place, domain in ((0, "source"), (2, "target")):
        plain = networks(options())["lifter"]
        plain(batch()[place])
        expected = statistics(plain)
        found = {n.replace(f".{domain}.", "."): v for n, v in statistics(lifter).items() if f".{domain}." in n}
        assert found.keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_domain_bn_needs_target_batches():
    assert "domain_bn" not in dua_descriptions(options("--domain_bn", "--no_domain"))["lifter"]


def test_the_control_passes_target_batches_and_no_gradient_of_the_adversary():
    control = gradients(options("--domain_weight", 0, "--grl", "constant"))
    args = options("--no_domain")
    trained = networks(args)
    dua_loss(args, trained, batch(target=False), 0)["loss"].backward()
    for found, parameter in zip(control["lifter"], trained["lifter"].parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, atol=1e-7, rtol=1e-5)
    assert all(not gradient.any() for gradient in control["domain"])


def test_the_gradient_is_reversed_with_the_schedules_coefficient():
    """The lifter's gradient is the control's minus coefficient x weight x that of the domain loss."""
    base = gradients(options("--domain_weight", 0))["lifter"]
    constant = gradients(options("--domain_weight", 1, "--grl", "constant"))["lifter"]
    assert any(not torch.allclose(a, b) for a, b in zip(base, constant))
    for step, extra in ((0, ()), (700, ()), (700, ("--grl_alpha", 3, "--grl_steps", 500))):
        warm = gradients(options("--domain_weight", 1, *extra), step)["lifter"]
        alpha, steps = (3, 500) if extra else (1, 1000)
        share = warm_start(step, alpha=alpha, max_steps=steps)
        assert share == pytest.approx(2 / (1 + math.exp(-alpha * step / steps)) - 1)
        for a, b, c in zip(base, constant, warm):
            torch.testing.assert_close(c, a + share * (b - a), atol=1e-6, rtol=1e-4)


def test_the_classifier_itself_learns_unreversed():
    warm, constant = (gradients(options("--grl", how, "--domain_weight", 1))["domain"] for how in ("warm", "constant"))
    assert all(torch.equal(a, b) for a, b in zip(warm, constant))
    args = options("--domain_weight", 1)
    trained = networks(args)
    before = dua_loss(args, trained, batch(), 0)["domain_loss"]
    before.backward()
    with torch.no_grad():
        for parameter in trained["domain"].parameters():
            parameter -= 0.01 * parameter.grad
    assert dua_loss(args, trained, batch(), 0)["domain_loss"] < before


# --- which experiment ---------------------------------------------------------------------------------------------------


def arguments(**given):
    return Arguments(
        given=set(),
        **{"resume": None, "evaluate": None, "dua": None, "select": "source", "checkpoint": "checkpoint/surreal", **given},
    )


@pytest.mark.parametrize(
    ("folder", "dua"),
    [
        ("checkpoint/surreal", False),
        ("checkpoint/sur_dua/", True),
        ("checkpoint/sur_dua", True),
        ("checkpoint/DUA-1", True),
        ("runs_of_dua/surreal", False),  # the folder itself is meant, not what it lies in
        ("dua", True),
    ],
)
def test_the_folders_name_decides(folder, dua, capsys):
    assert decide_dua(arguments(checkpoint=folder)) is dua
    line = capsys.readouterr().out
    assert line.startswith("experiment: DUA" if dua else "experiment: in domain")
    assert folder.rstrip("/").split("/")[-1] in line
    assert ("has 'dua' in its name" if dua else "lacks 'dua' in its name") in line


@pytest.mark.parametrize(("dua", "option"), [(True, "--dua"), (False, "--no_dua")])
def test_what_is_given_decides_over_the_name(dua, option, capsys):
    assert decide_dua(arguments(dua=dua, checkpoint="x" if dua else "sur_dua")) is dua
    assert f"{option} was given" in capsys.readouterr().out


def checkpoint_of(path, experiment):
    empty = dict.fromkeys(("source", "target", "keypoints", "selection"), "")
    parts = {"networks": {}, "weights": {}, "skeleton": skeleton_entry("h36m"), "training": {}, "arguments": {}}
    save_checkpoint(path, {"experiment": experiment, **empty, **parts})
    return str(path)


@pytest.mark.parametrize("option", ["resume", "evaluate"])
@pytest.mark.parametrize(("experiment", "dua"), [("surreal_dua", True), ("surreal_prob", False)])
def test_a_checkpoint_decides_over_the_name_and_is_not_contradicted(tmp_path, capsys, option, experiment, dua):
    path = checkpoint_of(tmp_path / "x.pth.tar", experiment)
    assert decide_dua(arguments(**{option: path}, checkpoint="surreal" if dua else "sur_dua")) is dua
    assert f"{path} is of experiment '{experiment}'" in capsys.readouterr().out
    assert decide_dua(arguments(**{option: path}, dua=dua)) is dua
    with pytest.raises(DuaError, match="leave out --no_dua" if dua else "leave out --dua"):
        decide_dua(arguments(**{option: path}, dua=not dua))
