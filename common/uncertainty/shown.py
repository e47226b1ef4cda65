"""Poses that an uncertainty is calibrated or judged on, as the network gets them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from common.adaptation.beyond import sees_anew
from common.adaptation.converter import labels_for
from common.adaptation.training_views import turned_rays, validation_with_rays, views_of_target
from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m, load_h36m_2d
from common.datasets.poses import Poses, UnlabelledPoses, split_validation
from common.datasets.streamed import Streamed, brought_into_memory
from common.datasets.surreal_stream import open_surreal, open_surreal_2d
from common.datasets.test_sets import DATA_SETS
from common.errors import DuaError
from common.evaluation.test_time import TestTime
from common.geometry.joints_in_2d import JointsIn2D, as_they_are, joints_of_data_set


@dataclass(frozen=True)
class Shown:
    """Labelled poses as a network gets them.

    Attributes:
        poses: labels and inputs, in the axes that are predicted in.
        rays: (N, 16, 3), on which the inputs are seen, in these axes.
        joints_of: the data set whose own 2D has the joints that the inputs have.
    """

    poses: Poses
    rays: Tensor
    joints_of: str

    def in_2d(self, networks: Mapping[str, nn.Module]) -> JointsIn2D:
        """Predicted poses to those joints of theirs that the inputs have; may raise as `joints_of_data_set`."""
        return joints_of_data_set(self.joints_of, networks)


def shown_test(checkpoint: Mapping[str, Any], poses: Poses) -> Shown:
    """Poses of a test, whose labels stand as they are to be judged by."""
    recorded = checkpoint["arguments"]
    return Shown(TestTime.of(recorded).shown(poses), turned_rays(recorded, poses), poses.name)


def source_validation(
    file: Path, checkpoint: Mapping[str, Any], networks: Mapping[str, nn.Module], data_dir: str, downsample: int
) -> Shown:
    """The validation split that the checkpoint's training cut from its source, labels and views as the network learnt them.

    Raises:
        DuaError: the source's training data are not in `data_dir`, or all of them were trained on, or they are no data set.
    """
    recorded = checkpoint["arguments"]
    if recorded.get("select") == "last":
        raise DuaError(
            f"{file} was trained with --select last: no clip was held out, so its uncertainty has no calibration and cannot get one; judge a "
            "run with --select source"
        )
    if checkpoint["source"] not in DATA_SETS:
        raise DuaError(
            f"{file} has learnt from {checkpoint['source']} before any camera, in none of the data sets: only its own estimator can be judged; "
            "leave out --consistency and --mc_dropout"
        )
    # DUA takes all of SURREAL as its source: there `--actions` chooses among the target's.
    actions = "*" if checkpoint["experiment"] == "surreal_dua" else recorded["actions"]
    shoulders = recorded.get("smpl_shoulders", "shoulder")
    try:
        poses = _validation(checkpoint["source"], data_dir, checkpoint["keypoints"], actions, shoulders, downsample)
        target = like_target = None
        align = recorded.get("align") or ()
        if {"gpa", "views"} & set(align):
            target = _target(checkpoint["target"], data_dir, checkpoint["keypoints"], recorded["actions"], shoulders, downsample)
    except DuaError as error:
        raise DuaError(
            f"{file} is calibrated on the validation split of its source, which must be read for it: {error}"
        ) from error
    labelled = labels_for(checkpoint, networks, poses)
    assert labelled is not None, "a network learns the skeleton of its source, or one that its converter makes of it"
    joints_of = poses.name
    in_2d: JointsIn2D = as_they_are
    if sees_anew(recorded):  # by the joints that are learnt, Human3.6M's where there is a converter, or by the target's
        joints_of = checkpoint["target"] if recorded.get("target_joints") else "h36m"
        in_2d = joints_of_data_set(joints_of, networks)
    if target is not None and "views" in align:
        like_target = views_of_target(recorded, target, networks, in_2d)
    return Shown(*validation_with_rays(recorded, labelled, target, like_target, in_2d), joints_of)


@cache  # several checkpoints share it
def _validation(source: str, data_dir: str, keypoints: str, actions: str, shoulders: str, downsample: int) -> Poses:
    if source == "h36m":
        return split_validation(load_h36m(data_dir, keypoints, TRAIN_SUBJECTS, actions, downsample))[1]
    return brought_into_memory(
        split_validation(open_surreal(data_dir, "train", shoulders, downsample, actions, keypoints=keypoints))[1], "validation"
    )


@cache
def _target(target: str, data_dir: str, keypoints: str, actions: str, shoulders: str, downsample: int) -> UnlabelledPoses:
    if target == "h36m":
        return load_h36m_2d(data_dir, keypoints, TRAIN_SUBJECTS, actions, downsample)
    poses = open_surreal_2d(data_dir, "train", shoulders, downsample, keypoints=keypoints)
    return poses.thinned() if isinstance(poses, Streamed) else poses
