"""Poses from one skeleton's definition to another's: finding a trained converter, its closed-form rival, converted labels."""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
from torch import Tensor, nn

from common.compute.distributed import alone, from_main, is_main
from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.errors import DuaError
from common.evaluation.tables import RAW
from common.training.checkpoint import BEST, CONFIG, checkpoint_file, load_checkpoint, rebuild_networks
from models.pose_converter import PoseConverter

FORMATS = {"h36m": ("smpl", "h36m"), "smpl": ("h36m", "smpl")}
"""`--format` says which skeleton comes out: {format: (definition that goes in, definition that comes out)}."""

A = TypeVar("A", Poses, Streamed[Poses])

CHECK = "against_least_squares"
"""Entry of a converter's checkpoint: {pairs: how much more it errs than the closed form does, as a share}. Older ones have none."""
TOLERANCE = 0.05
"""What that may be; a converter that errs more has failed its own check."""

_ROOT = Path(__file__).resolve().parents[2]


def least_squares(inputs: Tensor, outputs: Tensor, architecture: str) -> PoseConverter:
    """The converter that minimises the squared error in closed form, which gradient training is held against.

    Args:
        inputs, outputs: (N, 16, 3) pairs of poses, metres from the hip.
        architecture: as `models.pose_converter.PoseConverter`.
    """
    converter = PoseConverter(inputs.shape[1], architecture)
    axes = len(converter.weight)
    # On the CPU: gelsd is not there on CUDA, nor are doubles on MPS.
    x = inputs[:, 1:].cpu().double().flatten(1).unflatten(1, (-1, axes))  # (N, 45, 1) or (N, 15, 3)
    y = outputs[:, 1:].cpu().double().flatten(1).unflatten(1, (-1, axes))
    with torch.no_grad():
        for axis in range(axes):
            design = torch.cat([x[:, :, axis], x.new_ones(len(x), 1)], dim=1)
            # The minimum-norm solution (gelsd): joints of a rigid part, such as the two hips, are nearly dependent. Directions
            # that vary by less than float32 rounds would be given weights of thousands.
            solution = torch.linalg.lstsq(design, y[:, :, axis] - x[:, :, axis], rcond=1e-6, driver="gelsd").solution
            converter.weight[axis] = solution[:-1].T.to(converter.weight.dtype)
            converter.bias[axis] = solution[-1].to(converter.bias.dtype)
    return converter


@overload
def convert_labels(poses: Poses, converter: nn.Module) -> Poses: ...
@overload
def convert_labels(poses: Streamed[Poses], converter: nn.Module) -> Streamed[Poses]: ...
@torch.no_grad()
def convert_labels(poses: Poses | Streamed[Poses], converter: nn.Module) -> Poses | Streamed[Poses]:
    """The same poses with labels in the converter's skeleton; of poses that stay in a file, whenever they are read."""
    assert isinstance(converter, PoseConverter)
    if isinstance(poses, Streamed):
        return poses.then(lambda chunk: convert_labels(chunk, converter))
    device = converter.weight.device
    return replace(poses, targets_3d=converter.convert(poses.targets_3d.to(device)).to(poses.targets_3d.device))


def tests_of_surreal(raw: A, converter: nn.Module | None) -> dict[str, A]:
    """{name: test poses} of a network that predicts Human3.6M's joints: first those whose labels are brought there, if a converter is."""
    tests = {RAW: raw}
    return tests if converter is None else {"surreal, labels converted to h36m": convert_labels(raw, converter), **tests}


def failed_check(distances: Mapping[str, float]) -> bool:
    """Whether a converter errs more than the tolerance beyond least squares on any of the pairs (see `CHECK`)."""
    return not all(distance < TOLERANCE for distance in distances.values())  # NaN fails


def load_converter(path: str | Path, wanted: str, shoulders: str) -> tuple[PoseConverter, dict[str, Any]]:
    """(converter, description) of a checkpoint of `conversion.py` that was named; if it failed its own check, a warning is printed.

    Raises:
        DuaError: the file holds no converter, or one to another skeleton than `wanted`, or for other `--smpl_shoulders`.
    """
    network, description, complaint = _checked_converter(path, wanted, shoulders)
    if complaint and is_main():
        print(f"warning: {complaint}; what is learnt with it is no better", file=sys.stderr)
    return network, description


def _checked_converter(path: str | Path, wanted: str, shoulders: str) -> tuple[PoseConverter, dict[str, Any], str | None]:
    """What `load_converter` returns and raises, and what the converter's own check has against it, if anything."""
    path = checkpoint_file(path, BEST)
    checkpoint = load_checkpoint(path)
    if checkpoint["experiment"] != "conversion" or "converter" not in checkpoint["networks"]:
        raise DuaError(
            f"{path} is a checkpoint of experiment '{checkpoint['experiment']}'; one that conversion.py wrote was expected"
        )
    made = checkpoint["skeleton"]["definition"]
    if made != wanted:
        raise DuaError(f"{path} converts to the '{made}' skeleton, '{wanted}' is needed: python conversion.py --format {wanted}")
    learnt = checkpoint["arguments"].get("smpl_shoulders", shoulders)
    if learnt != shoulders:
        raise DuaError(f"{path} was trained with --smpl_shoulders {learnt}, this run has {shoulders}; give both the same")
    network, description = rebuild_networks(checkpoint, path)["converter"], checkpoint["networks"]["converter"]
    assert isinstance(network, PoseConverter)
    distances = checkpoint.get(CHECK, {})
    if not isinstance(distances, dict) or not all(isinstance(distance, float) for distance in distances.values()):
        raise DuaError(f"{path}: its {CHECK} is not what conversion.py writes; give another converter")
    if not failed_check(distances):
        return network, description, None
    worst = max(distance for distance in distances.values() if not distance < TOLERANCE)
    return network, description, f"{path} failed its own check: it errs {worst:.0%} more than the best converter of its pairs"


def newest_converter(root: str | Path, wanted: str, shoulders: str) -> Path | None:
    """The newest best checkpoint of such a converter anywhere below `root`, or None."""
    found = sorted(Path(root).glob(f"**/{BEST}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found:
        # config.json says it without reading the weights of every run.
        config = path.parent / CONFIG
        # conversion.json is written last: without it the training was cut off, or still goes on.
        finished = (path.parent / "conversion.json").exists()
        if finished and config.exists() and '"experiment": "conversion"' in config.read_text(errors="replace"):
            try:
                _checked_converter(path, wanted, shoulders)
            except DuaError:  # to the other skeleton, or damaged
                continue
            return path
    return None


def find_or_train_converter(given: str | None, wanted: str, args: argparse.Namespace) -> tuple[nn.Module, dict[str, Any]]:
    """The converter that a DUA script uses; which one it is, and why, is printed.

    `given` (`--converter`) if there is one, else the newest in `checkpoint/`, else one that `conversion.py` trains now,
    on the script's data, shoulders and device.

    Raises:
        DuaError: the given file is unusable, training one failed, or the newest failed its own check: that one must be named.
    """
    if given:
        print(f"converter: {given}, as --converter says")
        return load_converter(given, wanted, args.smpl_shoulders)
    path = from_main(
        lambda: newest_converter(_ROOT / "checkpoint", wanted, args.smpl_shoulders) or _train_converter(wanted, args)
    )
    made_on = Path(load_checkpoint(path)["arguments"]["data_dir"])
    print(f"converter: {path.relative_to(_ROOT)}, the newest in checkpoint/, trained on {made_on}", flush=True)
    if made_on.resolve() != Path(args.data_dir).resolve():
        print(
            f"  note: this run's data is {args.data_dir}; train its own with conversion.py --format {wanted}, or name one with --converter"
        )
    network, description, complaint = _checked_converter(path, wanted, args.smpl_shoulders)
    if complaint:
        raise DuaError(
            f"{complaint}; train one for longer: python conversion.py --format {wanted} --data_dir {args.data_dir} --epochs N, or name one "
            "with --converter"
        )
    return network, description


def _train_converter(wanted: str, args: argparse.Namespace) -> Path:
    """Run `conversion.py`, in one process, for a converter as this run needs it; returns its checkpoint."""
    options = {
        "format": wanted,
        "data_dir": Path(args.data_dir).resolve(),
        "device": args.device,
        "smpl_shoulders": args.smpl_shoulders,
    }
    command = [
        sys.executable,
        "conversion.py",
        *(word for name, value in options.items() for word in (f"--{name}", str(value))),
    ]
    print(f"converter: none in checkpoint/, so one is trained first: python {' '.join(command[1:])}", flush=True)
    if subprocess.run(command, cwd=_ROOT, env=alone()).returncode:
        raise DuaError("training the converter failed, see above; give one with --converter, or go without: --no_converter")
    path = newest_converter(_ROOT / "checkpoint", wanted, args.smpl_shoulders)
    assert path is not None
    return path


def labels_for(checkpoint: Mapping[str, Any], networks: Mapping[str, nn.Module], poses: A) -> A | None:
    """`poses` with labels in the skeleton that the checkpoint's networks predict, or None if they need a converter that the
    checkpoint does not hold. Data sets are in the definition of their name: 'h36m', or 'surreal' in SMPL's."""
    definition = "h36m" if poses.name == "h36m" else "smpl"
    predicted = checkpoint["skeleton"]["definition"]
    if definition == predicted:
        return poses
    if "converter" not in networks:
        return None
    return convert_labels(poses, networks["converter"])
