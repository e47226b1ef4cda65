"""The options of the lifting networks, and the descriptions made of them."""

import argparse

import pytest
import torch

from common.errors import DuaError
from common.geometry.skeleton import PARENTS
from common.training import networks
from common.training.networks import add_network_arguments, lifter_description, uncertainty_description
from models import build
from models.sem_gcn import skeleton_adjacency


def parse(*argv, network=None):
    parser = argparse.ArgumentParser()
    add_network_arguments(parser, network)
    return parser, parser.parse_args([str(part) for part in argv])


def parameters(description):
    return sum(parameter.numel() for parameter in build(description).parameters())


def test_martinez_by_default_is_the_papers():
    _, args = parse()
    assert args.network == "martinez"
    description = lifter_description(args, args.network)
    assert description == {"name": "martinez", "num_joints": 16, "hid_dim": 1024, "num_layers": 2, "dropout": 0.5}
    assert 4.2e6 < parameters(description) < 4.4e6


def test_semgcn_by_default_is_the_papers():
    _, args = parse("--network", "semgcn")
    description = lifter_description(args, args.network)
    assert description == {
        "name": "semgcn", "adjacency": skeleton_adjacency(PARENTS).tolist(), "hid_dim": 128, "num_layers": 4, "dropout": None,
        "non_local": False,
    }  # fmt: skip
    build(description)


@pytest.mark.parametrize("network", ["martinez", "semgcn"])
def test_what_is_given_is_taken(network):
    _, args = parse("--hid_dim", 16, "--num_layers", 1, "--dropout", 0.25, network=network)
    description = lifter_description(args, network)
    assert {key: description[key] for key in ("hid_dim", "num_layers", "dropout")} == {
        "hid_dim": 16,
        "num_layers": 1,
        "dropout": 0.25,
    }


def test_zeros_are_given_values_too():
    """No dropout and no blocks are choices, not options left out."""
    _, args = parse("--num_layers", 0, "--dropout", 0, network="martinez")
    description = lifter_description(args, "martinez")
    assert (description["num_layers"], description["dropout"]) == (0, 0)


def test_non_local_belongs_to_semgcn():
    _, args = parse("--non_local")
    with pytest.raises(DuaError, match="--network semgcn"):
        lifter_description(args, "martinez")
    assert lifter_description(args, "semgcn")["non_local"] is True


def test_scripts_with_one_network_offer_only_what_it_knows(capsys):
    with pytest.raises(SystemExit):
        parse("--non_local", network="martinez")
    with pytest.raises(SystemExit):
        parse("--network", "semgcn", network="martinez")
    capsys.readouterr()
    assert parse("--non_local", network="semgcn")[1].non_local


def test_the_help_names_the_defaults():
    both, one = (" ".join(parse(network=network)[0].format_help().split()) for network in (None, "semgcn"))
    assert "width of the hidden layers (default: 1024 or, with --network semgcn, 128)" in both
    assert "width of the hidden layers (default: 128)" in one


def test_domain_bn_is_said_only_where_it_is_on():
    _, args = parse()
    assert "domain_bn" not in lifter_description(args, "martinez")
    assert lifter_description(args, "martinez", domain_bn=True)["domain_bn"] is True


@pytest.mark.parametrize("network", ["martinez", "semgcn"])
def test_the_estimator_fits_its_network(network):
    _, args = parse("--hid_dim", 8, "--num_layers", 1)
    description = lifter_description(args, network)
    _, features = build(description).eval()(torch.zeros(3, 16, 2))
    estimator = uncertainty_description(description)
    assert build(estimator).eval()(features).shape == (3, 16)
    assert ("hid_dim" in estimator) == (network == "semgcn")


@pytest.mark.parametrize(("scale", "learns"), [({}, True), ({"hidden_scale": 1.0}, False)], ids=["ours", "kept as they act"])
def test_semgcns_estimator_is_not_lost_in_its_first_steps(scale, learns):
    """Its weights and those of so many features move a score by tens in a step, to where a sigmoid has no gradient."""
    torch.manual_seed(0)
    _, args = parse()
    lifter = lifter_description(args, "semgcn")
    estimator = build(uncertainty_description(lifter) | scale)
    optimizer = torch.optim.Adam(estimator.parameters(), lr=1e-3)
    losses = []
    for _ in range(60):
        features = torch.relu(torch.randn(32, estimator.hidden.in_features))
        wrong = 0.05 + 0.1 * torch.sigmoid(features[:, :15])
        loss = torch.mean(torch.abs(estimator(features)[:, 1:] - wrong))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    last = sum(losses[-10:]) / 10
    assert (last < 0.03) == learns, last


def test_a_network_has_the_options_that_its_defaults_name(monkeypatch, capsys):
    monkeypatch.setitem(networks.NETWORK_SIZES, "shallow", {"hid_dim": 8})
    parser, args = parse(network="shallow")
    assert lifter_description(args, "shallow") == {"name": "shallow", "num_joints": 16, "hid_dim": 8}
    assert uncertainty_description(lifter_description(args, "shallow"))["feature_size"] == 8
    assert "--num_layers" not in parser.format_help()
    with pytest.raises(SystemExit):
        parse("--non_local", network="shallow")

    parser, args = parse("--network", "shallow", "--num_layers", 2)
    assert "128 or, with --network shallow, 8)" in " ".join(parser.format_help().split())
    with pytest.raises(DuaError, match="--num_layers is no option of the network shallow; leave it out"):
        lifter_description(args, "shallow")
