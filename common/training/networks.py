"""The lifting networks' options and descriptions, which four scripts share."""

import argparse
from typing import Any

from common.errors import DuaError
from common.geometry.skeleton import NUM_JOINTS, PARENTS
from models.sem_gcn import skeleton_adjacency

NETWORK_SIZES: dict[str, dict[str, Any]] = {
    "martinez": {"hid_dim": 1024, "num_layers": 2, "dropout": 0.5},
    "semgcn": {"hid_dim": 128, "num_layers": 4, "dropout": 0.0},
}
"""What options come to that are not given, as each network's own paper and code have them."""
_SEMGCN_ESTIMATOR_WIDTH = 1024
_ESTIMATORS = {"relative": "uncertainty", "nll": "gaussian"}
"""{`--uncertainty_loss`: the network that it trains}."""


def add_network_arguments(parser: argparse.ArgumentParser, network: str | None = None) -> None:
    """`--hid_dim`, `--num_layers`, `--dropout`, `--uncertainty_loss`, for SemGCN `--non_local`; and `--network` unless the script
    has but one."""
    group = parser.add_argument_group("network")
    if network is None:
        group.add_argument(
            "--network", choices=list(NETWORK_SIZES), default="martinez", help="lifting network (default: %(default)s)"
        )
    else:
        parser.set_defaults(network=network)

    def default(option: str) -> str:
        values = [NETWORK_SIZES[name][option] for name in NETWORK_SIZES if network in (None, name)]
        return "default: " + " or, with --network semgcn, ".join(str(value) for value in values)

    group.add_argument("--hid_dim", type=int, default=None, help=f"width of the hidden layers ({default('hid_dim')})")
    group.add_argument("--num_layers", type=int, default=None, help=f"residual blocks ({default('num_layers')})")
    group.add_argument(
        "--dropout", type=float, default=None, help=f"share of features dropped in training ({default('dropout')})"
    )
    group.add_argument(
        "--uncertainty_loss",
        choices=list(_ESTIMATORS),
        default="relative",
        help="what the estimator learns: relative errors, as in the paper, or a Gaussian's spread, by its likelihood (default: relative)",
    )
    if network != "martinez":
        group.add_argument("--non_local", action="store_true", help="SemGCN with non-local layers, as its paper's best")


def lifter_description(args: argparse.Namespace, network: str, domain_bn: bool = False) -> dict[str, Any]:
    """What `models.build` makes the lifting network of; options that were not given take the network's defaults."""
    sizes = {
        option: default if getattr(args, option) is None else getattr(args, option)
        for option, default in NETWORK_SIZES[network].items()
    }
    if network == "martinez":
        if getattr(args, "non_local", False):
            raise DuaError("--non_local belongs to SemGCN; add --network semgcn, or leave it out")
        description = {"name": network, "num_joints": NUM_JOINTS, **sizes}
    else:
        description = {
            "name": network,
            "adjacency": skeleton_adjacency(PARENTS).tolist(),
            **sizes,
            "dropout": sizes["dropout"] or None,
            "non_local": args.non_local,
        }
    return description | ({"domain_bn": True} if domain_bn else {})


def uncertainty_description(lifter: dict[str, Any], loss: str = "relative") -> dict[str, Any]:
    """The estimator that fits a lifting network: straight on Martinez's features, over a hidden layer on SemGCN's.

    `loss` is `--uncertainty_loss`.
    """
    if lifter["name"] == "martinez":
        return {"name": _ESTIMATORS[loss], "feature_size": lifter["hid_dim"], "num_joints": NUM_JOINTS}
    return {
        "name": _ESTIMATORS[loss],
        "feature_size": NUM_JOINTS * lifter["hid_dim"],
        "num_joints": NUM_JOINTS,
        "hid_dim": _SEMGCN_ESTIMATOR_WIDTH,
        "hidden_scale": _SEMGCN_ESTIMATOR_WIDTH**-0.5,
    }
