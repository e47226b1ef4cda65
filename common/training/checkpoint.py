"""Checkpoints: one file that holds a whole run, read without running any code in it.

A file is a dictionary for `torch.load(path, weights_only=True)`:

    format        "dua checkpoint 1"
    experiment    which script made it: "prob", ...
    networks      {role: description}, from which `models.build` makes each network
    weights       {role: state dict}
    skeleton      joint names, parents and whose definition they follow
    normalisation how inputs and targets are scaled
    source        data set whose labels were learnt from; `target`, adapted to without labels, or None
    keypoints     where the 2D came from
    selection     the rule that chose `best`
    calibration   what the uncertainty says in millimetres (`common.evaluation.calibration`), learnt on the source's validation split; None
                  without an estimator or in the middle of an epoch, and missing in older files
    trained_range what the lifting network saw of people and cameras (`common.training.trained_range`); missing in older files
    training      epoch, batch and step, optimiser, random states, best error, history
    arguments, command, versions
    published     what was read, where the file is another project's; no file of ours has it
    against_least_squares  of a converter alone: its own check (`common.adaptation.converter`)
"""

import io
import math
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from common.compute.distributed import main_only
from common.errors import DuaError, short_reason
from common.files.arrays import require_file
from common.files.tensors import NotPlain, load_tensors, outline
from common.files.writing import atomic_write
from common.geometry.skeleton import JOINT_NAMES, PARENTS
from common.training.open_weights import SUFFIX, named, read_open_weights
from common.training.published_weights import Unusable, read_published
from models import build

FORMAT = "dua checkpoint 1"
BEST = "ckpt_best.pth.tar"
LAST = "ckpt_last.pth.tar"
CONFIG = "config.json"
RUN_NAME = "%Y-%m-%d_%H-%M-%S"
"""What a run folder is called: the time at which it was made, and a number after it if several were in that second."""

NORMALISATION = {
    "inputs_2d": "screen coordinates: x / width * 2 - [1, height / width]",
    "targets_3d": "metres, camera axes, hip at the origin",
}

_NEEDED = ("experiment", "networks", "weights", "skeleton", "source", "target", "keypoints", "selection", "training", "arguments")


@main_only
def save_checkpoint(path: str | Path, checkpoint: dict[str, Any]) -> None:
    """Write `checkpoint` whole or not at all: temporary name, flush, rename."""
    complete = {
        "format": FORMAT,
        "normalisation": NORMALISATION,
        "command": " ".join(sys.argv),
        "versions": versions(),
        **checkpoint,
    }
    buffer = io.BytesIO()  # a full disk must fail in our writing, where it is handled, not within torch's zip writer
    torch.save(complete, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def run_of(path: str | Path, *wanted: str) -> Path:
    """`path` itself or, where it is a folder of runs (`checkpoint/prob`), its newest run, which is printed.

    Args:
        wanted: files of which a run must have one; newer runs that have none yet are passed over, and that is printed too.
    """
    path = Path(path)
    if not path.is_dir() or any((path / name).exists() for name in (*wanted, CONFIG)):
        return path
    runs = sorted((found.parent for found in path.glob(f"*/{CONFIG}")), key=_started)
    there = [run for run in runs if any((run / name).exists() for name in wanted)]
    if not there:
        return path
    newer = len(runs) - 1 - runs.index(there[-1])
    passed_over = f" with {wanted[0]} ({newer} newer without)" if newer else ""
    print(f"{path}: its newest run{passed_over} is taken, {there[-1].name}", flush=True)
    return there[-1]


def _started(run: Path) -> tuple[datetime, int, str]:
    """When a run was started, by its name, whose ending counts those of a second; of one that was renamed, when its options were written."""
    try:
        return datetime.strptime(run.name[:19], RUN_NAME), len(run.name), run.name
    except ValueError:
        return datetime.fromtimestamp((run / CONFIG).stat().st_mtime), 0, run.name


def checkpoint_file(path: str | Path, prefer: str) -> Path:
    """`path` itself, or where it is a run folder, or a folder of runs (`run_of`), the checkpoint `prefer` (`BEST` or `LAST`) in it; of
    'open' the weights that come with the project (`common.training.open_weights`).

    Raises:
        DuaError: there is no such file; the message lists the runs or checkpoints that are near.
    """
    path = named(path) or run_of(path, *dict.fromkeys((prefer, BEST)))
    if not path.is_dir():
        require_file(path)
        return path
    if (path / prefer).exists():
        return path / prefer
    if prefer == LAST and (path / BEST).exists():  # killed between the two, in the first epoch: both hold the same
        return path / BEST
    near = sorted(str(found) for found in path.glob("**/*.pth.tar"))[:10]
    if prefer == LAST and not near:
        raise DuaError(
            f"{path} has no checkpoint to resume: either it is no run folder, or the run was stopped before its first epoch was "
            "done; start it anew (the command stands in its config.json)"
        )
    raise DuaError(
        f"{path} has no {prefer}; " + (f"below it there are: {', '.join(near)}" if near else "give a checkpoint or a run folder")
    )


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint file onto the CPU: one of ours, or weights that `common.training.published_weights` knows, as one.

    Raises:
        DuaError: it is missing, damaged, holds something else, or lacks a part; the message says which.
    """
    path = Path(path)
    require_file(path)
    if path.suffix == SUFFIX:
        checkpoint = read_open_weights(path)
    else:
        try:
            checkpoint = load_tensors(path)
        except NotPlain:
            _published(outline(path), path)
            raise
        checkpoint = _published(checkpoint, path) or checkpoint
    if not isinstance(checkpoint, dict) or checkpoint.get("format") != FORMAT:
        found = checkpoint.get("format", "no format") if isinstance(checkpoint, dict) else type(checkpoint).__name__
        raise DuaError(f"{path} is not a '{FORMAT}' file ({found}); give one that a training script of this project wrote")
    missing = [key for key in _NEEDED if key not in checkpoint]
    if missing:
        raise DuaError(f"{path} lacks {', '.join(missing)}; give another checkpoint of the run")
    _check_kinds(checkpoint, path)
    return checkpoint


def _published(content: Any, path: Path) -> dict[str, Any] | None:
    """The weights of another project as a checkpoint of ours; None if they are of none that is known here.

    Raises:
        DuaError: they are, but of no network that we have; the message says whose.
    """
    try:
        found = None if isinstance(content, dict) and content.get("format") == FORMAT else read_published(content)
    except (Unusable, AttributeError, IndexError, RuntimeError, TypeError, ValueError, KeyError) as error:
        said = (
            str(error) if isinstance(error, Unusable) else f"a state dict of SemGCN's layout, but damaged ({short_reason(error)})"
        )
        raise DuaError(f"{path} is {said}") from error
    if found is None:
        return None
    return {
        "format": FORMAT,
        "published": found.said,
        "experiment": "published",
        "networks": {"lifter": found.description},
        "weights": {"lifter": found.weights},
        "skeleton": skeleton_entry("h36m"),
        "normalisation": NORMALISATION,
        "source": "h36m",
        "target": None,
        "keypoints": "unknown",
        "selection": "as published",
        "training": {"epoch": found.epoch},
        "arguments": {"seed": "unknown", "actions": "*", "downsample": 1},
    }


def _check_kinds(checkpoint: dict[str, Any], path: Path) -> None:
    """Raise a `DuaError` if a part is of another kind than this project writes."""
    wrong = [key for key in ("networks", "weights", "skeleton", "training", "arguments") if not isinstance(checkpoint[key], dict)]
    wrong += [key for key in ("experiment", "source", "keypoints", "selection") if not isinstance(checkpoint[key], str)]
    if not wrong and not all(isinstance(of, dict) and isinstance(of.get("name"), str) for of in checkpoint["networks"].values()):
        wrong = ["networks"]
    if not wrong and checkpoint["skeleton"].get("definition") not in ("h36m", "smpl"):
        wrong = ["skeleton"]
    if wrong:
        raise DuaError(f"{path}: its {', '.join(wrong)} is not what a training script writes; give another checkpoint of the run")


def rebuild_networks(checkpoint: dict[str, Any], path: str | Path) -> dict[str, nn.Module]:
    """{role: network with its weights}, in evaluation mode, from the file's contents alone.

    Raises:
        DuaError: weights and descriptions do not fit together.
    """
    networks = {}
    for role, description in checkpoint["networks"].items():
        try:
            state = checkpoint["weights"][role]
            with _bounded(description, state):
                networks[role] = build(description)
            networks[role].load_state_dict(state)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
            raise DuaError(
                f"{path}: the weights of '{role}' do not fit its description ({short_reason(error)}); give another checkpoint"
            ) from error
        if not all(torch.isfinite(tensor).all() for tensor in networks[role].state_dict().values()):
            raise DuaError(f"{path}: weights of '{role}' are NaN or infinite, the training diverged; give an earlier checkpoint")
        networks[role].eval()
    return networks


@contextmanager
def _bounded(description: dict[str, Any], state: dict[str, Tensor]) -> Iterator[None]:
    """Within, networks get no more memory than these weights let expect, whatever width and depth the description names."""
    if description.get("num_layers", 0) > len(state):
        raise ValueError(f"{description['num_layers']} layers, of {len(state)} tensors")
    with _Bounded(2 * sum(tensor.numel() for tensor in state.values()) + 2**20):
        yield


class _Bounded(TorchFunctionMode):
    """Counts the numbers of the tensors that are made, before they are."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.left = numbers

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in (torch.empty, torch.zeros, torch.ones, torch.eye):
            sizes = args[0] if len(args) == 1 and isinstance(args[0], tuple | list) else args
            self.left -= max(1, math.prod(sizes) if function is not torch.eye else sizes[0] ** 2)
            if self.left < 0:
                raise ValueError("it describes a larger network")
        return function(*args, **(kwargs or {}))


def check_experiment(checkpoint: dict[str, Any], path: str | Path, experiment: str, role: str, network: str | None) -> None:
    """Raise a `DuaError` unless the checkpoint is of this script's experiment and, where one is named, its network."""
    found = checkpoint["networks"].get(role, {}).get("name", "none")
    if checkpoint["experiment"] != experiment or network not in (None, found):
        raise DuaError(
            f"{path} is a checkpoint of experiment '{checkpoint['experiment']}' with network '{found}'; "
            f"this script works with experiment '{experiment}'"
            + (f" and network '{network}'" if network else "")
            + ("; evaluate.py, viz.py and predict.py take it" if "published" in checkpoint else "")
        )


def skeleton_entry(definition: str) -> dict[str, Any]:
    """What a checkpoint says of its joints; `definition` is 'h36m' or 'smpl'."""
    return {"definition": definition, "joints": list(JOINT_NAMES), "parents": list(PARENTS)}


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": str(np.__version__)}
