"""BVH text to numbers: a file's joints and frames, and by forward kinematics where the joints are and how they turn.

No library reads the files well enough: pybvh 0.9 refuses joints other than the root that have positions (all of
Bandai-Namco's do), bvhio 1.5 never returns from a file that is cut off, and neither it nor bvhtoolbox 0.1 counts frames or
numbers.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.errors import DuaError


@dataclass(frozen=True)
class BvhJoint:
    """A joint of the hierarchy, as the file gives it.

    Attributes:
        name: as in the file.
        parent: index of its parent, -1 for the root.
        offset: (3,) place in the parent's axes, in the file's unit.
        channels: what the file moves, in its order: 'Xposition', 'Zrotation', ...
        end_site: (3,) place of the bone's end in the joint's own axes, where the file gives one.
    """

    name: str
    parent: int
    offset: np.ndarray
    channels: tuple[str, ...]
    end_site: np.ndarray | None = None


@dataclass(frozen=True)
class BvhFile:
    """A file's content: joints (parents come before children), `frames` (T, number of channels) and seconds per frame."""

    joints: tuple[BvhJoint, ...]
    frames: np.ndarray
    frame_time: float


_CHANNELS = frozenset(axis + kind for axis in "XYZ" for kind in ("position", "rotation"))
_LARGEST = 1e9  # of any number, in whatever unit
_MOST_JOINTS = 10_000  # with all fingers and a face there are some 150
_MOST_PLACES = 20_000_000
"""Joints times frames that forward kinematics takes on, 2 GB: fifty joints for an hour at 120 frames a second."""
_FRAMES = re.compile(r"\s*Frames\s*:\s*(\S+)\s*", re.IGNORECASE)
_FRAME_TIME = re.compile(r"\s*Frame\s+Time\s*:\s*(\S+)\s*", re.IGNORECASE)


class _Tokens:
    """The words of the hierarchy, each with the number of its line; errors name the line that was read last."""

    def __init__(self, lines: Sequence[str], label: str):
        words = [(word, number) for number, line in enumerate(lines, 1) for word in re.sub(r"[{}]", r" \g<0> ", line).split()]
        self._words = iter(words)
        self._label = label
        self._line = 1

    def next(self, expected: str) -> str:
        word, self._line = next(self._words, ("", self._line))
        if not word:
            raise self.error(f"the file ends where {expected} was expected")
        return word

    def expect(self, word: str) -> None:
        if (found := self.next(f"'{word}'")) != word:
            raise self.error(f"'{word}' was expected, found {found!r}")

    def until(self, end: str) -> list[str]:
        words = []
        while (word := self.next(f"'{end}'")) != end:
            words.append(word)
        return words

    def numbers(self, count: int) -> np.ndarray:
        words = [self.next("a number") for _ in range(count)]
        try:
            values = np.array([float(word) for word in words])
        except ValueError:
            raise self.error(f"{count} numbers were expected, found {' '.join(words)!r}") from None
        if not (np.abs(values) < _LARGEST).all():
            raise self.error(f"{' '.join(words)!r} is no place")
        return values

    def error(self, problem: str) -> DuaError:
        return DuaError(f"{self._label}, line {self._line}: {problem}; the file is not a whole BVH file")


def parse_bvh(text: str, label: str) -> BvhFile:
    """Read a BVH file: any order and number of channels, any layout of lines, at least two frames.

    Args:
        label: what errors call the file.

    Raises:
        DuaError: the text is not BVH or is cut off, a number is missing or not finite, or the frames are not as many as
            the file says. The message names the line.
    """
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    if start is None:
        raise DuaError(f"{label}: there is no line MOTION; the file is not BVH or is cut off")
    joints = _parse_hierarchy(_Tokens(lines[: start + 1], label))
    frames, frame_time = _parse_motion(lines, start + 1, sum(len(joint.channels) for joint in joints), label)
    if len(joints) * len(frames) > _MOST_PLACES:
        raise DuaError(
            f"{label}: {len(joints)} joints in {len(frames)} frames are too many at once; cut the file into shorter ones"
        )
    return BvhFile(joints, frames, frame_time)


def _parse_hierarchy(tokens: _Tokens) -> tuple[BvhJoint, ...]:
    tokens.expect("HIERARCHY")
    tokens.expect("ROOT")
    joints: list[BvhJoint] = []
    open_joints = [-1]  # a stack: BVH files may be nested deeper than Python likes to recurse
    word = "ROOT"
    while True:
        if word in ("ROOT", "JOINT"):
            name = " ".join(tokens.until("{"))
            tokens.expect("OFFSET")
            offset = tokens.numbers(3)
            tokens.expect("CHANNELS")
            joints.append(BvhJoint(name, open_joints[-1], offset, _parse_channels(tokens)))
            open_joints.append(len(joints) - 1)
            if len(joints) > _MOST_JOINTS:
                raise tokens.error(f"there are more than {_MOST_JOINTS} joints, bodies have a hundred")
        elif word == "End":
            tokens.until("{")
            tokens.expect("OFFSET")
            joints[open_joints[-1]] = replace(joints[open_joints[-1]], end_site=tokens.numbers(3))
            tokens.expect("}")
        elif word == "}":
            open_joints.pop()
            if len(open_joints) == 1:
                break
        else:
            raise tokens.error(f"JOINT, End Site or '}}' was expected, found {word!r}")
        word = tokens.next("JOINT, End Site or '}'")
    if (word := tokens.next("MOTION")).upper() != "MOTION":
        raise tokens.error(f"MOTION was expected, found {word!r}: a file with several roots cannot be read")
    return tuple(joints)


def _parse_channels(tokens: _Tokens) -> tuple[str, ...]:
    count = tokens.next("the number of channels")
    if not 0 <= _count(count) <= len(_CHANNELS):
        raise tokens.error(f"CHANNELS {count!r}: a number from 0 to {len(_CHANNELS)} was expected")
    channels = []
    for _ in range(_count(count)):
        word = tokens.next("a channel")
        channel = word[:1].upper() + word[1:].lower()
        if channel not in _CHANNELS:
            raise tokens.error(f"unknown channel {word!r}; known are {', '.join(sorted(_CHANNELS))}")
        if channel in channels:
            raise tokens.error(f"channel {word} is listed twice")
        channels.append(channel)
    return tuple(channels)


def _parse_motion(lines: Sequence[str], start: int, columns: int, label: str) -> tuple[np.ndarray, float]:
    """Frames (T, columns) and seconds per frame, from the lines after MOTION, which is line `start` (counted from 1)."""
    rows = [(number, line) for number, line in enumerate(lines[start:], start + 1) if line.strip()]
    count_line, count = _header(rows[:1], _FRAMES, "'Frames: NUMBER'", start, label)
    if _count(count) < 2:
        raise DuaError(f"{label}, line {count_line}: {count} frames; at least 2 are needed for a motion")
    seconds_line, seconds = _header(rows[1:2], _FRAME_TIME, "'Frame Time: SECONDS'", count_line, label)
    frame_time = _number(seconds)
    if not 0 < frame_time < np.inf:
        raise DuaError(f"{label}, line {seconds_line}: frame time {seconds}; seconds above 0 were expected, as in 0.0333333")
    rows = rows[2:]
    if len(rows) != _count(count):
        number = rows[-1][0] if rows else seconds_line
        raise DuaError(
            f"{label}, line {number}: {len(rows)} frames have come by the end of the file, line {count_line} says {count}; "
            "download the file again, or correct that number"
        )
    if len(rows) * columns > sum(map(len, (line for _, line in rows))):  # memory is asked for no more numbers than there can be
        number, line = min(rows, key=lambda row: len(row[1].split()))
        raise DuaError(f"{label}, line {number}: {len(line.split())} numbers, the hierarchy has {columns} channels")
    frames = np.empty((len(rows), columns))
    for frame, (number, line) in zip(frames, rows):
        words = line.split()
        if len(words) != columns:
            raise DuaError(f"{label}, line {number}: {len(words)} numbers, the hierarchy has {columns} channels")
        try:
            frame[:] = [float(word) for word in words]
        except ValueError:
            frame[:] = np.nan
        if not (np.abs(frame) < _LARGEST).all():
            word = next(word for word in words if not abs(_number(word)) < _LARGEST)
            raise DuaError(
                f"{label}, line {number}: {word!r} is no place and no angle; leave the frame out or download the file again"
            )
    return frames, frame_time


def _header(rows: Sequence[tuple[int, str]], form: re.Pattern[str], expected: str, before: int, label: str) -> tuple[int, str]:
    """The number of the line and the value in it."""
    number, line = rows[0] if rows else (before, "")
    if not (match := form.fullmatch(line)):
        raise DuaError(f"{label}, line {number}: {expected} was expected; the file is not a whole BVH file")
    return number, match[1]


def _count(word: str) -> int:
    """The whole number, -1 if it is none."""
    return int(word) if word.isdecimal() and len(word) < 10 else -1


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


# --- Forward kinematics -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class BvhSkeleton:
    """What the joints do, by role. Row 0 is the rest pose, the frames follow: F = 1 + T rows.

    Attributes:
        places: {role: (F, 3)} in the file's unit and world; 'l_toe' may be the end of the foot's bone.
        rotations: {role: (F, 3, 3)} from the joint's own axes to the world.
    """

    places: dict[str, np.ndarray]
    rotations: dict[str, np.ndarray]


def move_skeleton(file: BvhFile, roles: Mapping[str, int]) -> BvhSkeleton:
    """Forward kinematics of a file, for the joints that have a role.

    Args:
        roles: {role: index of the joint}, from `common.mocap.bvh_conventions.match_roles`; 'l_foot' and 'r_foot' are needed.
    """
    count = len(file.frames) + 1
    places: list[np.ndarray] = []
    from scipy.spatial.transform import Rotation  # here, not above: scripts that do without it need not wait

    rotations: list[np.ndarray] = []
    column = 0
    for joint in file.joints:
        values = dict(zip(joint.channels, file.frames[:, column : column + len(joint.channels)].T))
        column += len(joint.channels)
        shift = np.tile(joint.offset, (count, 1))
        positions = {channel: row for channel, row in values.items() if channel.endswith("position")}
        # A position stands in for the offset. Some writers fill the channels of all joints with zeros and mean the offset.
        if joint.parent < 0 or any(row.any() for row in positions.values()):
            for channel, row in positions.items():
                shift[1:, "XYZ".index(channel[0])] = row
        turn = np.tile(np.eye(3), (count, 1, 1))
        order = "".join(channel[0] for channel in joint.channels if channel.endswith("rotation"))
        if order:
            angles = np.stack([values[f"{axis}rotation"] for axis in order], axis=-1)  # (T, 1 to 3)
            turn[1:] = Rotation.from_euler(order, angles, degrees=True).as_matrix()  # capitals: about the turned axes
        if joint.parent < 0:
            places.append(shift)
            rotations.append(turn)
        else:
            places.append(places[joint.parent] + np.einsum("fij,fj->fi", rotations[joint.parent], shift))
            rotations.append(rotations[joint.parent] @ turn)
    skeleton = BvhSkeleton({role: places[i] for role, i in roles.items()}, {role: rotations[i] for role, i in roles.items()})
    for side in "lr":
        end = file.joints[roles[f"{side}_foot"]].end_site
        if f"{side}_toe" not in roles and end is not None:
            skeleton.places[f"{side}_toe"] = skeleton.places[f"{side}_foot"] + skeleton.rotations[f"{side}_foot"] @ end
    return skeleton
