"""What a `common.rendering.scene.Scene` shows of lifting networks: their names, and a panel of each beside the labels."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from common.adaptation.converter import labels_for
from common.datasets.poses import Poses
from common.errors import DuaError
from common.evaluation.evaluate import lift
from common.evaluation.metrics import mpjpe
from common.geometry.camera import Camera
from common.prediction.lifter import Lifter
from common.rendering.scene import Panel, upright
from common.training.facts import ORACLE, describe, domain_of

_NETWORKS = {"martinez": "Martinez", "semgcn": "SemGCN"}
_DATA_SETS = {"h36m": "H3.6M", "surreal": "SURREAL"}
_SKELETONS = {"h36m": "H3.6M", "smpl": "SMPL"}
_DUA = {"converter", "uncertainty", "domain"}
_NETWORK_S_OWN = {"non_local", "collars"}
"""What of its modules is no adaptation."""


def short_names(lifters: Sequence[Lifter]) -> list[str]:
    """What each is, in a few words: network, data, modules; where that is not enough to tell them apart, the run folder too. Without
    `--test_bn`: statistics of BatchNorm are never those of one clip."""
    as_shown = [{**lifter.checkpoint, "arguments": lifter.checkpoint["arguments"] | {"test_bn": False}} for lifter in lifters]
    names = [_short_name(describe(checkpoint)) for checkpoint in as_shown]
    seen = Counter(names)
    return [name if seen[name] == 1 else f"{name}, {lifter.file.parent.name}" for name, lifter in zip(names, lifters)]


def _short_name(facts: Mapping[str, Any]) -> str:
    data = _DATA_SETS.get(facts["source"], facts["source"])
    words = [_NETWORKS.get(facts["network"], facts["network"]), data]
    if facts["target"]:
        modules = [module for module in facts["modules"] if module not in _NETWORK_S_OWN]
        words[1] += f" → {_DATA_SETS.get(facts['target'], facts['target'])}"
        if set(modules) == _DUA:
            words.append("DUA")
        elif modules:
            words[1] += "".join(f" + {module}" for module in modules)
        else:
            words.append("no adaptation")
    if facts["selection"] == ORACLE:
        words.append("oracle selection")
    return ", ".join(words)


def prediction_panels(
    lifters: Sequence[Lifter], titles: Sequence[str], poses: Poses, camera: Camera | None
) -> tuple[list[Panel], str]:
    """A panel for each network with its MPJPE on `poses`, then the labels that they were held against; and the uncertainty's unit.

    Where a network predicts another skeleton than the data set's, its labels pass through the checkpoint's converter, as in
    `evaluate.py`; without one the data set's own are taken. Either way the titles say so.

    Args:
        titles: of the networks' panels, `short_names` or others.
        poses: of one clip.
        camera: that saw it, see `common.rendering.scene.upright`.

    Raises:
        DuaError: uncertainties in different units cannot share a colour bar.
    """
    own = "h36m" if poses.name == "h36m" else "smpl"
    foreign = any(lifter.skeleton != own for lifter in lifters)
    panels: list[Panel] = []
    truths: list[tuple[torch.Tensor, str]] = []
    units: set[str] = set()
    for lifter, name in zip(lifters, titles, strict=True):
        labels = labels_for(lifter.checkpoint, lifter.networks, poses)
        judged = poses if labels is None else labels
        test_time = replace(lifter.test_time, batchnorm=False)
        domain = domain_of(lifter.checkpoint, poses)
        poses_3d, estimated = lift(lifter.networks, poses, lifter.device, domain, test_time)
        error = 1000 * float(mpjpe(poses_3d, judged.targets_3d.cpu()).double().mean())
        uncertainty = None
        if estimated is not None:
            uncertainty, unit = lifter.shown_uncertainty(estimated, poses_3d)
            units.add(unit)
        note, described = "", f"{_SKELETONS[own]}'s joints" if foreign else ""
        if lifter.skeleton != own:
            note = " to raw labels" if labels is None else " to converted labels"
            described = described if labels is None else f"converted to {_SKELETONS[lifter.skeleton]}'s joints"
        panels.append(Panel(name, upright(poses_3d.double().numpy(), camera), f"MPJPE {error:.1f} mm{note}", uncertainty))
        if not any(torch.equal(judged.targets_3d, other) for other, _ in truths):
            truths.append((judged.targets_3d, described))
    if len(units) > 1:
        raise DuaError(f"uncertainties in {' and '.join(sorted(units))} cannot share a colour bar; show those checkpoints apart")
    for i, (targets_3d, described) in enumerate(truths):
        # One floor for all: the first label's.
        shown = upright(targets_3d.double().cpu().numpy(), camera)
        panels.append(Panel("Ground truth", shown, described, truth=i == 0))
    return panels, units.pop() if units else "%"
