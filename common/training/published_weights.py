"""Weights that other projects published: whose they are, and those of networks that are ours in all but names.

SemGCN (github.com/garyzhao/SemGCN) has both lifting networks: `LinearModel`, which is Martinez's, and `SemGCN`, with and without
non-local layers. Its sixteen joints, its screen coordinates and its metres from the hip are ours; `LinearModel` leaves the hip
out of its outputs, `SemGCN` is centred on it afterwards. Projects that took its code over (PoseAug, the published DUA) keep the
layout, under `state_dict` or `model_pos`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from common.geometry.skeleton import NUM_JOINTS, PARENTS
from models.sem_gcn import skeleton_adjacency

_EDGES = 3 * NUM_JOINTS - 2
"""Directed bones and a loop at each joint: so long is a SemGCN's mask of sixteen joints."""


@dataclass(frozen=True)
class Published:
    """A lifting network of another project, in our terms.

    Attributes:
        said: what was read, for a person.
        description: for `models.build`.
        weights: its state dict.
        epoch: after which it was saved; 0 if the file does not say it.
    """

    said: str
    description: dict[str, Any]
    weights: dict[str, Tensor]
    epoch: int


class Unusable(Exception):
    """The words say whose file it is, and why it is of no use here."""


def read_published(content: Any) -> Published | None:
    """The network in what a file holds (`common.files.tensors.load_tensors` or, of a file that was refused, `outline`).

    Returns:
        None if it is of no project that is known here.

    Raises:
        Unusable: it is, but of another network or other joints than ours.
    """
    state = _state_dict(content)
    if state is None:
        return None
    if "expand_conv.weight" in state:
        raise Unusable("a checkpoint of VideoPose3D: a network over the frames of a clip, which this project does not have")
    if {"w1.weight", "batch_norm1.weight", "w2.weight"} <= state.keys():
        description, weights = _linear_model(content, state)
        name = "LinearModel"
    elif {"gconv_input.0.gconv.W", "gconv_output.W"} <= state.keys():
        description, weights = _sem_gcn(state)
        name = "SemGCN with non-local layers" if description["non_local"] else "SemGCN"
    else:
        return None
    said = (
        f"weights of {name} in the layout of SemGCN's repository, taken for a network of Human3.6M's sixteen joints in our order"
    )
    epoch = content.get("epoch", 0)
    return Published(said, description, weights, int(epoch) if isinstance(epoch, int | float) else 0)


def _state_dict(content: Any) -> dict[str, Any] | None:
    """Weights by name, without the prefix that `DataParallel` gives them."""
    if not isinstance(content, Mapping):
        return None
    state = next((content[key] for key in ("state_dict", "model_pos") if key in content), content)
    if not isinstance(state, Mapping) or not state or not all(isinstance(name, str) for name in state):
        return None
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


_LINEAR_MODEL = {
    r"w1\.": "input.0.",
    r"batch_norm1\.": "input.1.",
    r"linear_stages\.(\d+)\.w1\.": r"blocks.\1.layers.0.",
    r"linear_stages\.(\d+)\.batch_norm1\.": r"blocks.\1.layers.1.",
    r"linear_stages\.(\d+)\.w2\.": r"blocks.\1.layers.4.",
    r"linear_stages\.(\d+)\.batch_norm2\.": r"blocks.\1.layers.5.",
    r"w2\.": "output.",
}
"""{beginning of a name there: here}."""


def _linear_model(content: Mapping[str, Any], state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if "err" in content:
        raise Unusable(
            "a checkpoint of 3d_pose_baseline_pytorch: its network works on poses standardised with means and deviations that are not "
            "in the file, and predicts another joint; take SemGCN's ckpt_linear.pth.tar, or train with main_prob.py"
        )
    given, made = _shape(state["w1.weight"])[-1], _shape(state["w2.weight"])[0]
    if (given, made) != (NUM_JOINTS * 2, (NUM_JOINTS - 1) * 3):
        raise Unusable(
            f"a LinearModel (SemGCN, 3d_pose_baseline_pytorch) of {given} inputs and {made} outputs; with sixteen joints it has "
            f"{NUM_JOINTS * 2} and, without the hip, {(NUM_JOINTS - 1) * 3}"
        )
    weights = {_renamed(name, _LINEAR_MODEL): tensor for name, tensor in state.items()}
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    sizes = {"hid_dim": len(state["w1.weight"]), "num_layers": len(blocks), "dropout": 0.5}
    return {"name": "martinez", "num_joints": NUM_JOINTS, **sizes}, weights


_GRAPH_LAYER = {
    r"gconv\.W": "conv.weight",
    r"gconv\.e": "conv.mask",
    r"gconv\.bias": "conv.bias",
    r"bn\.": "activation.0.",
}
_SEM_GCN = {
    **{rf"layers\.(\d+)\.gconv1\.{there}": rf"layers.\1.layers.0.{here}" for there, here in _GRAPH_LAYER.items()},
    **{rf"layers\.(\d+)\.gconv2\.{there}": rf"layers.\1.layers.1.{here}" for there, here in _GRAPH_LAYER.items()},
    **{rf"layers\.0\.{there}": rf"layers.0.{here}" for there, here in _GRAPH_LAYER.items()},
    r"layers\.(\d+)\.non_?local\.theta\.": r"layers.\1.theta.",
    r"layers\.(\d+)\.non_?local\.(phi|g)\.0\.": r"layers.\1.\2.",  # the published layers pool phi and g in pairs
    r"layers\.(\d+)\.non_?local\.concat_project\.0\.": r"layers.\1.projection.",
    r"layers\.(\d+)\.non_?local\.W\.0\.": r"layers.\1.output.",
    r"layers\.(\d+)\.non_?local\.W\.1\.": r"layers.\1.norm.",
    r"gconv_output\.W": "output.weight",
    r"gconv_output\.e": "output.mask",
}
"""As above, once the input's layers and those after it are counted together."""


def _sem_gcn(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    edges = _count(state.get("gconv_output.e"))
    if edges != _EDGES:
        raise Unusable(
            f"a SemGCN with a mask of {edges} numbers a layer; with sixteen joints it is {_EDGES}: it has another skeleton, or masks "
            "for each channel"
        )
    non_local = any("gconv_input.1." in name for name in state)
    first = 2 if non_local else 1
    counted = {
        re.sub(r"^gconv_layers\.(\d+)", lambda found: f"layers.{int(found[1]) + first}", name).replace(
            "gconv_input.", "layers."
        ): of
        for name, of in state.items()
        if name != "gconv_output.bias"  # the same for all joints, so that centring on the hip takes it out again
    }
    weights = {_renamed(name, _SEM_GCN): _flattened(name, tensor) for name, tensor in counted.items()}
    for name in [name for name in weights if ".phi." in name]:
        weights[name.replace(".phi.", ".phi_and_g.")] = torch.cat([weights.pop(name), weights.pop(name.replace(".phi.", ".g."))])
    layers = 1 + max((int(name.split(".")[1]) for name in weights if name.startswith("layers.")), default=0)
    description = {
        "name": "semgcn",
        "adjacency": skeleton_adjacency(PARENTS).tolist(),
        "hid_dim": _shape(state["gconv_output.W"])[-2],
        "num_layers": (layers - first) // first,
        "dropout": None,
        "non_local": non_local,
    }
    return description, weights


def _flattened(name: str, tensor: Tensor) -> Tensor:
    """A convolution's kernel of one place as a linear layer's matrix, a mask of one row as that row."""
    if name.endswith(".e"):
        return tensor.flatten()
    return tensor.flatten(2).squeeze(2) if "local." in name and tensor.ndim > 2 else tensor


def _renamed(name: str, beginnings: Mapping[str, str]) -> str:
    """The name here; what has none stays, and is refused with the weights that fit no network."""
    for there, here in beginnings.items():
        renamed, found = re.subn(f"^{there}", here, name)
        if found:
            return renamed
    return name


def _shape(tensor: Any) -> tuple[int, ...]:
    if not isinstance(tensor, Tensor) or tensor.ndim < 2:
        raise Unusable("a state dict in the layout of SemGCN's repository, one of whose weights is no matrix")
    return tuple(tensor.shape)


def _count(tensor: Any) -> int:
    return tensor.numel() if isinstance(tensor, Tensor) else 0
