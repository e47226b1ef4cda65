"""Weights that are passed on: `checkpoint/open/NETWORK.safetensors`, which hold all that a lifter needs and nothing of its training.

A file is of the format of the `safetensors` package: tensors, of which no reader can be made to run code, and strings. One string, 'dua',
is JSON: the entries of a checkpoint (`common.training.checkpoint`) but weights, optimiser and random states. Matrices of networks that are
trained are kept in float16, which moves no joint by more than a tenth of a millimetre; everything else in float32, whitened converters
above all, in which large numbers cancel. Beside each file lies a card, NETWORK.json.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.errors import DuaError, short_reason
from common.files.writing import atomic_write

NAME = "open"
"""What stands for them in place of a path; 'open/semgcn' for another than the first."""
FOLDER = Path(__file__).resolve().parents[2] / "checkpoint" / "open"
FIRST = "martinez"
SUFFIX = ".safetensors"

_ENTRY = "dua"
_LEFT_OUT = ("weights", "training")
_HALVED = ("lifter", "uncertainty")


def named(path: str | Path) -> Path | None:
    """The file that 'open' or 'open/NETWORK' stands for; None for any other path, and where something of that name is there.

    Raises:
        DuaError: there are no such weights.
    """
    first, *rest = Path(path).parts or ("",)
    if first != NAME or len(rest) > 1 or Path(path).exists():
        return None
    file = FOLDER / f"{rest[0].removesuffix(SUFFIX) if rest else FIRST}{SUFFIX}"
    if not file.exists():
        there = sorted(f"{NAME}/{found.stem}" for found in FOLDER.glob(f"*{SUFFIX}"))
        how = f"there are: {', '.join(there)}" if there else "they come with the repository: git checkout checkpoint/open"
        raise DuaError(f"{path}: the open weights {file} are not there; {how}")
    return file


def write_open_weights(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write what a checkpoint holds of its networks."""
    from safetensors.torch import save  # here, not above: only who reads or writes such weights needs the package

    facts = {key: value for key, value in checkpoint.items() if key not in _LEFT_OUT}
    facts["training"] = {"epoch": checkpoint["training"]["epoch"]}
    tensors = {
        f"{role}.{name}": _packed(tensor, role in _HALVED)
        for role, state in checkpoint["weights"].items()
        for name, tensor in state.items()
    }
    data = save(tensors, metadata={_ENTRY: json.dumps(facts)})
    with atomic_write(path) as file:
        file.write(data)


def read_open_weights(path: Path) -> dict[str, Any]:
    """Such a file as a checkpoint.

    Raises:
        DuaError: it is damaged, or no file of this project; the message says how to get it back.
    """
    anew = f"get it again: git checkout {FOLDER.parent.name}/{FOLDER.name}" if path.parent == FOLDER else "get it again"
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise DuaError(f"{path}: the package safetensors reads it; install it: pip install -r requirements.txt") from error
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            entry = (file.metadata() or {}).get(_ENTRY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
    except (SafetensorError, OSError) as error:
        raise DuaError(f"{path} is cut short, damaged, or no safetensors file ({short_reason(error)}); {anew}") from error
    if entry is None:
        raise DuaError(f"{path} holds weights of another project: it has no entry '{_ENTRY}'; give one of this project")
    try:
        facts = json.loads(entry)
        weights: dict[str, dict[str, Tensor]] = {role: {} for role in facts["networks"]}
        for name, tensor in tensors.items():
            role, _, rest = name.partition(".")
            weights[role][rest] = tensor.float() if tensor.is_floating_point() else tensor
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DuaError(f"{path} is damaged: its tensors do not fit its networks ({short_reason(error)}); {anew}") from error
    return {**facts, "weights": weights}


def _packed(tensor: Tensor, halved: bool) -> Tensor:
    return (tensor.half() if halved and tensor.is_floating_point() and tensor.ndim > 1 else tensor).contiguous().cpu()


def size_of(checkpoint: Mapping[str, Any]) -> int:
    """Numbers in all of its networks."""
    return sum(torch.numel(tensor) for state in checkpoint["weights"].values() for tensor in state.values())
