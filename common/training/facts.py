"""What every result names: source, target, network, modules, seed, selection rule, epoch; and how they are called."""

from collections.abc import Mapping
from typing import Any

from common.datasets.poses import Poses
from common.datasets.streamed import Streamed

ORACLE = "oracle selection (target labels)"
"""How every log, table and checkpoint calls a best epoch that was chosen on the target's labels."""

SELECTIONS = {"source": "source validation", "last": "last epoch, nothing held out", "target": ORACLE}
"""By `--select`: how a run is called after what chose its epoch."""

TEACHERS = {"lifter": "teacher", "uncertainty": "teacher_uncertainty"}
"""{role: what checkpoints call its running average} of `--teacher`."""

_NO_MODULES = ("lifter", "to_detector", "view_pool", *TEACHERS.values())
"""The network itself, what `predict.py` alone asks, and what options that are named keep: `--align views` and `--target_poses` of the target,
`--teacher` of the networks."""
_VARIANTS = (
    ("domain_of", "features", "domain of features"), ("grl", "constant", "gradient not warmed up"), ("smpl_shoulders", "collar", "collars"),
)  # fmt: skip
"""(option, value that is not its default, how it is called)."""
_ADVERSARY_S = ("domain_of", "grl")
_SWITCHES = (
    "non_local", "domain_bn", "augment", "new_poses", "target_poses", "target_joints", "reproject", "teacher", "tta", "test_bn",
)  # fmt: skip
_SCALED = {"spread": "one size", "box": "boxes of one size"}


def describe(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What every result names: source, target, network, modules, seed, selection rule, epoch."""
    return {
        "experiment": checkpoint["experiment"],
        "source": checkpoint["source"],
        "target": checkpoint["target"],
        "network": checkpoint["networks"]["lifter"]["name"],
        "modules": [_module(role, checkpoint["arguments"]) for role in checkpoint["networks"] if role not in _NO_MODULES]
        + _beyond(checkpoint["arguments"], "domain" in checkpoint["networks"]),
        "skeleton": checkpoint["skeleton"]["definition"],
        "epoch": checkpoint["training"]["epoch"],
        "seed": checkpoint["arguments"]["seed"],
        "keypoints": checkpoint["keypoints"],
        "selection": checkpoint["selection"],
    }


def _module(role: str, arguments: Mapping[str, Any]) -> str:
    """A module as results name it; one that is on with weight 0 is a control and is called so, and so is another estimator."""
    if role == "domain" and not arguments.get("domain_weight"):
        return "domain (weight 0)"
    if role == "uncertainty" and arguments.get("uncertainty_loss") == "nll":
        return "uncertainty (nll)"
    return role


def domain_of(checkpoint: Mapping[str, Any], poses: Poses | Streamed[Poses]) -> str:
    """Whose BatchNorm statistics (`--domain_bn`) fit these poses."""
    return "target" if poses.name == checkpoint["target"] else "source"


def _beyond(arguments: Mapping[str, Any], adversary: bool) -> list[str]:
    """What results name beside DUA's modules: the options of `common.adaptation.beyond`, and others that make another network or loss."""
    names = [
        called for name, value, called in _VARIANTS if arguments.get(name) == value and (adversary or name not in _ADVERSARY_S)
    ]
    names += arguments.get("align") or ()
    names += [_SCALED[arguments["scale"]]] if arguments.get("scale") in _SCALED else []
    names += [arguments["discrepancy"]] if arguments.get("discrepancy") else []
    names += [f"augment {arguments['augment']}"] if isinstance(arguments.get("augment"), str) else []
    return names + [name for name in _SWITCHES if arguments.get(name) is True]
