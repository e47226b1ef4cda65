"""Lifting networks out of checkpoints: found, checked, rebuilt, ready to use."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from common.errors import DuaError
from common.evaluation.calibration import Calibration, stored_calibration
from common.evaluation.evaluate import uncertainty_unit
from common.evaluation.test_time import TestTime
from common.geometry.skeleton import JOINT_NAMES
from common.mocap.demo import is_demo
from common.training.checkpoint import BEST, checkpoint_file, load_checkpoint, rebuild_networks
from common.training.trained_range import TrainedRange, stored_range

ARCHITECTURES = {"linear": "martinez", "gcn": "semgcn"}
"""`--architecture` of other projects' commands, and what the networks are called here."""

_USUAL = "data"


@dataclass(frozen=True)
class Lifter:
    """A checkpoint with a lifting network, rebuilt, in evaluation mode."""

    file: Path
    checkpoint: Mapping[str, Any]
    networks: Mapping[str, nn.Module]
    device: torch.device

    @property
    def skeleton(self) -> str:
        """Whose definition of the joints it predicts, 'h36m' or 'smpl'."""
        return self.checkpoint["skeleton"]["definition"]

    @property
    def data_dir(self) -> str:
        """Folder with the data sets that it was trained from."""
        return str(self.checkpoint["arguments"].get("data_dir", _USUAL))

    @property
    def test_time(self) -> TestTime:
        """What its run's options do when it is tested."""
        return TestTime.of(self.checkpoint["arguments"])

    @property
    def unit(self) -> str | None:
        """Of its uncertainty, one of `common.evaluation.calibration.UNITS`, or None without an estimator."""
        return uncertainty_unit(self.networks) if "uncertainty" in self.networks else None

    @property
    def calibration(self) -> Calibration | None:
        """What makes millimetres of its uncertainty, if the checkpoint has it. Raises a `DuaError` if it is damaged."""
        return stored_calibration(self.checkpoint, self.file)

    @property
    def trained_range(self) -> TrainedRange | None:
        """What it saw in training, if the checkpoint says it. Raises a `DuaError` if that is damaged."""
        return stored_range(self.checkpoint, self.file)

    def shown_uncertainty(self, uncertainty: Tensor, poses_3d: Tensor) -> tuple[np.ndarray, str]:
        """What the estimator expects, as a reader takes it, and its unit: 'mm', or '%' of relative errors without a calibration.

        Args:
            uncertainty: (N, 16) of the estimator; poses_3d: (N, 16, 3) metres that it belongs to.
        """
        if self.calibration is not None:
            return self.calibration.millimetres(uncertainty, poses_3d).double().cpu().numpy(), "mm"
        scale, unit = (1000, "mm") if self.unit == "metres" else (100, "%")
        return uncertainty.double().cpu().numpy() * scale, unit


def load_lifter(given: str | Path, device: torch.device, architecture: str | None = None) -> Lifter:
    """The network of a checkpoint file, or of a run folder's best epoch (of a folder of runs the newest's), on `device`.

    Raises:
        DuaError: there is none, it is damaged, not ours and not known either, holds no lifting network, has other joints, or its network is
            not the one that `architecture` (a key of `ARCHITECTURES`) names.
    """
    file = checkpoint_file(given, BEST)
    checkpoint = load_checkpoint(file)
    if "lifter" not in checkpoint["networks"]:
        raise DuaError(
            f"{file} is a checkpoint of experiment '{checkpoint['experiment']}' ({', '.join(checkpoint['networks'])}) and holds no "
            "lifting network; give one of main_prob.py, train_surreal.py or their like"
        )
    if list(checkpoint["skeleton"].get("joints", ())) != list(JOINT_NAMES):
        raise DuaError(f"{file} has another skeleton: other joints than the sixteen of this project, so it cannot be used here")
    name = checkpoint["networks"]["lifter"]["name"]
    if architecture is not None and ARCHITECTURES[architecture] != name:
        own = next((option for option, network in ARCHITECTURES.items() if network == name), name)
        raise DuaError(f"--architecture {architecture}: {file} holds '{name}', which is --architecture {own}; or leave it out")
    networks = {role: network.to(device) for role, network in rebuild_networks(checkpoint, file).items()}
    if "published" in checkpoint:
        print(f"{file}: {checkpoint['published']}", file=sys.stderr)
    return Lifter(file, checkpoint, networks, device)


def own_data(lifters: Sequence[Lifter]) -> str:
    """The folder of data sets that the runs were trained from, for a test that names none; where it is not here, `data`, which is printed.

    Raises:
        DuaError: they were trained from different folders.
    """
    folders = {os.path.realpath(lifter.data_dir): lifter.data_dir for lifter in lifters}
    if len(folders) > 1:
        raise DuaError(
            f"the checkpoints were trained from {' and '.join(sorted(folders.values()))}; say with --data_dir what to test on"
        )
    (folder,) = folders.values()
    if os.path.isdir(folder) or is_demo(folder):  # the demo is built when it is first asked for
        return folder
    print(
        f"{folder}, which {lifters[0].file} was trained from, is not here: data is looked for in {_USUAL}/, --data_dir names another"
    )
    return _USUAL


def usual_keypoints(lifters: Sequence[Lifter]) -> str:
    """Of a test that names none: 'gt'. A line says which networks have learnt from other 2D."""
    learnt = {str(lifter.file): lifter.checkpoint["keypoints"] for lifter in lifters}
    others = [f"{file} ({keypoints})" for file, keypoints in learnt.items() if keypoints not in ("gt", "unknown")]
    if others:
        print(f"2D: gt; learnt from other 2D, which --keypoints would name: {', '.join(others)}")
    return "gt"
