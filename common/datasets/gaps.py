"""Joints that a detector did not find, in the 2D of a data set: filled in time, counted and said, never learnt as places."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.datasets.anomalies import warn
from common.geometry.joint_orders import RULE, JointOrder, follow_rule, measured_joints
from common.geometry.missing import confidences_of, interpolate_in_time, is_place
from common.geometry.skeleton import JOINT_NAMES


@dataclass
class Gaps:
    """What of the sequences of a file was not found.

    Attributes:
        total: joints that were looked at, found or not.
        filled: {sequence: how many joints of it were filled}.
        left_out: {sequence: a joint that is never found in it}.
        longest: frames of the longest gap.
    """

    total: int = 0
    filled: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    longest: int = 0

    def fill_views(self, views: list[np.ndarray], order: JointOrder, names: list[str]) -> list[np.ndarray | None]:
        """`fill` of each of several sequences by name, at once where every joint of all of them was found."""
        if len({view.shape[1:] for view in views}) == 1 and views[0].shape[2] == 2:
            pixels = np.concatenate(views).astype(np.float64, copy=False)
            if is_place(pixels).all():
                joints = measured_joints(pixels, order)
                self.total += len(joints) * len(order.places)
                follow_rule(joints, set(RULE) - set(order.places))
                return list(np.split(joints, np.cumsum([len(view) for view in views[:-1]])))
        return [self.fill(view, order, name) for view, name in zip(views, names, strict=True)]

    def fill(self, values: np.ndarray, order: JointOrder, name: str) -> np.ndarray | None:
        """Our joints of a sequence whose joints (T, J, 2 or 3) stand in `order`, with what was not found interpolated in time.

        Not found is what stands at exactly (0, 0) or (-1, -1), or has confidence 0 in a third column.

        Returns:
            (T, 16, 2) pixels, or None if a joint is found in no frame: then there is nothing to learn or to test here.
        """
        pixels = values[..., :2].astype(np.float64)
        found = is_place(pixels)
        if values.shape[2] == 3 and (confidences := confidences_of(values)) is not None:
            found &= confidences != 0
        pixels[~found] = np.nan
        joints = measured_joints(pixels, order)
        made = [JOINT_NAMES.index(joint) for joint in order.places]  # the others follow by the rule
        there = np.zeros(joints.shape[:2], dtype=bool)
        there[:, made] = ~np.isnan(joints[:, made, 0])
        self.total += there[:, made].size
        if not there[:, made].all():
            never = [joint for joint in made if not there[:, joint].any()]
            if never:
                self.left_out[name] = JOINT_NAMES[min(never)]
                return None
            missing = ~there[:, made]
            self.filled[name] = int(missing.sum())
            self.longest = max(self.longest, _longest_run(missing))
            interpolate_in_time(joints, there)
        follow_rule(joints, set(RULE) - set(order.places))
        return joints

    def report(self, file: Path) -> None:
        """One line of warning for what was filled, one for what was left out."""
        if self.filled:
            count = sum(self.filled.values())
            warn(
                f"{file}: {count:,d} of {self.total:,d} joints ({count / self.total:.1%}), in {_some(self.filled)}, were not found "
                "by the detector: they stand at (0, 0) or (-1, -1), or have confidence 0; in training and in evaluation they are "
                f"interpolated between the frames in which they were found, over at most {self.longest} frames"
            )
        if self.left_out:
            joints = ", ".join(dict.fromkeys(self.left_out.values()))
            warn(
                f"{file}: {_some(self.left_out)} are left out of training and evaluation: a joint ({joints}) is found in none of "
                "their frames"
            )


def _longest_run(missing: np.ndarray) -> int:
    """Of True in any column of (T, J)."""
    frames = np.arange(len(missing))[:, None]
    last_found = np.maximum.accumulate(np.where(missing, -1, frames), axis=0)
    return int((frames - last_found).max())


def _some(sequences: Mapping[str, object]) -> str:
    names = list(sequences)
    return f"{len(names)} sequence{'s' * (len(names) > 1)} ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"
