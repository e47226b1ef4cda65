"""The lifting networks' options and descriptions, which four scripts share."""

import argparse
from typing import Any

from common.errors import DuaError
from common.geometry.skeleton import NUM_JOINTS, PARENTS
from models.initial import INITIAL
from models.sem_gcn import skeleton_adjacency

NETWORK_SIZES: dict[str, dict[str, Any]] = {
    "martinez": {"hid_dim": 1024, "num_layers": 2, "dropout": 0.5},
    "semgcn": {"hid_dim": 128, "num_layers": 4, "dropout": 0.0},
}
"""What options come to that are not given, as each network's own paper and code have them. A network has the options that stand here,
and no others."""

_OPTIONS = {
    "hid_dim": (int, "width of the hidden layers"),
    "num_layers": (int, "residual blocks"),
    "dropout": (float, "share of features dropped in training"),
}
_SEMGCN_ESTIMATOR_WIDTH = 1024
_ESTIMATORS = {"relative": "uncertainty", "nll": "gaussian"}
"""{`--uncertainty_loss`: the network that it trains}."""


def add_network_arguments(parser: argparse.ArgumentParser, network: str | None = None) -> None:
    """The options that the networks have, `--hid_dim`, `--num_layers`, `--dropout`, for SemGCN `--non_local`; `--uncertainty_loss`; and
    `--network` unless the script has but one."""
    group = parser.add_argument_group("network")
    if network is None:
        group.add_argument(
            "--network", choices=list(NETWORK_SIZES), default="martinez", help="lifting network (default: %(default)s)"
        )
    else:
        parser.set_defaults(network=network)

    for option, (kind, meaning) in _OPTIONS.items():
        values = {name: own[option] for name, own in NETWORK_SIZES.items() if network in (None, name) and option in own}
        if values:
            (_, first), *others = values.items()
            defaults = "".join([f"default: {first}", *(f" or, with --network {name}, {value}" for name, value in others)])
            group.add_argument(f"--{option}", type=kind, default=None, help=f"{meaning} ({defaults})")
    group.add_argument(
        "--uncertainty_loss",
        choices=list(_ESTIMATORS),
        default="relative",
        help="what the estimator learns: relative errors, as in the paper, or a Gaussian's spread, by its likelihood (default: relative)",
    )
    group.add_argument(
        "--initial",
        choices=INITIAL,
        default="published",
        help="weights to begin with. mean: the first poses are near the mean one; whitened: that, and Martinez's inputs whitened (default: "
        "%(default)s, with --schedule fast mean)",
    )
    if network in (None, "semgcn"):
        group.add_argument("--non_local", action="store_true", help="SemGCN with non-local layers, as its paper's best")


def lifter_description(args: argparse.Namespace, network: str, domain_bn: bool = False) -> dict[str, Any]:
    """What `models.build` makes the lifting network of; options that were not given take the network's defaults.

    Raises:
        DuaError: an option that this network does not have.
    """
    own = NETWORK_SIZES[network]
    given = {option: value for option in _OPTIONS if (value := getattr(args, option, None)) is not None}
    if foreign := [option for option in given if option not in own]:
        raise DuaError(f"--{foreign[0]} is no option of the network {network}; leave it out")
    sizes = own | given
    if network == "semgcn":
        adjacency = skeleton_adjacency(PARENTS).tolist()
        sizes |= {"dropout": sizes["dropout"] or None, "non_local": args.non_local}
        description = {"name": network, "adjacency": adjacency, **sizes}
    else:
        if getattr(args, "non_local", False):
            raise DuaError("--non_local belongs to SemGCN; add --network semgcn, or leave it out")
        description = {"name": network, "num_joints": NUM_JOINTS, **sizes}
    return description | ({"domain_bn": True} if domain_bn else {})


def feature_size(lifter: dict[str, Any]) -> int:
    """Numbers per pose that a lifting network of this description hands on to the other networks."""
    return int(lifter["hid_dim"]) * (NUM_JOINTS if lifter["name"] == "semgcn" else 1)


def uncertainty_description(lifter: dict[str, Any], loss: str = "relative") -> dict[str, Any]:
    """The estimator that fits a lifting network: over a hidden layer on SemGCN's features, straight on the `hid_dim` features of others.

    `loss` is `--uncertainty_loss`.
    """
    description = {"name": _ESTIMATORS[loss], "feature_size": feature_size(lifter), "num_joints": NUM_JOINTS}
    if lifter["name"] != "semgcn":
        return description
    return description | {
        "hid_dim": _SEMGCN_ESTIMATOR_WIDTH,
        "hidden_scale": _SEMGCN_ESTIMATOR_WIDTH**-0.5,
    }
