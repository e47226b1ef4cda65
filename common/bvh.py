"""BVH motion-capture files, turned into rotations of our body parts (`common.motion`).

Files differ in the names of their joints (`bvh_conventions.json`), in their rest pose and in the axes of their joints.
None of that is trusted: forward kinematics says where the joints are and how they turn, and each part's axes are found
from there. Bones give the long axes; the bend of knees and elbows, the line of the hips and that of the shoulders give
the sideways ones; and everything that neither shows (where the head looks, how the foot stands) follows the recorded
rotation, set straight in the rest pose if that is a person standing, else in the frames in which the trunk is upright.
"""

import itertools
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.spatial.transform import Rotation

from common.errors import DuaError
from common.motion import PART_PARENTS, Motion, resample

REQUIRED_ROLES = (
    "hips", "chest", "neck", "head",
    "l_upper_arm", "l_lower_arm", "l_hand", "r_upper_arm", "r_lower_arm", "r_hand",
    "l_upper_leg", "l_lower_leg", "l_foot", "r_upper_leg", "r_lower_leg", "r_foot",
)  # fmt: skip
OPTIONAL_ROLES = ("l_collar", "r_collar", "l_toe", "r_toe")
ROLES = REQUIRED_ROLES + OPTIONAL_ROLES
"""What a convention names a joint for. `chest` is the joint that carries neck and collars; the others stand where their
part begins: `l_lower_leg` is the left knee, `l_foot` the ankle, `l_hand` the wrist."""

_MAX_BYTES = 256 * 2**20
"""Ten minutes of a body with all its fingers take half of that; a file that says it is larger is damaged or hostile."""


# --- Finding files ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class BvhSource:
    """A BVH file, on its own or within a zip archive.

    Attributes:
        name: the clip's name: the file's, without folder and ending.
        path: the file, or the archive that it is in.
        member: its name within the archive; only ever a key, nothing is unpacked.
    """

    name: str
    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"

    def read(self) -> str:
        """The file's text.

        Raises:
            DuaError: it cannot be read, or is larger than any motion.
        """
        try:
            if self.member is None:
                size = self.path.stat().st_size
                data = b"" if size > _MAX_BYTES else self.path.read_bytes()
            else:
                with zipfile.ZipFile(self.path) as archive:
                    size = archive.getinfo(self.member).file_size
                    # zipfile never unpacks more than the archive declares.
                    data = b"" if size > _MAX_BYTES else archive.read(self.member)
        # RuntimeError: a member that wants a password.
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, NotImplementedError) as error:
            raise DuaError(f"cannot read {self}: {error}") from error
        if size > _MAX_BYTES:
            raise DuaError(f"{self} says it is {size / 2**20:,.0f} MiB large; a BVH file has at most {_MAX_BYTES >> 20} MiB")
        return data.decode("utf-8-sig", errors="replace")


def find_bvh(paths: Sequence[str | Path]) -> list[BvhSource]:
    """Every BVH file in `paths`: folders (searched with all that is below them), files, and zip archives.

    Archives within folders are left alone, since they often hold what lies unpacked beside them.

    Returns:
        In the order of their names, each file once. Where two files have the same name, the name of the folder or
        archive is put before both.

    Raises:
        DuaError: a path does not exist or is of another kind, an archive is damaged, or there is no BVH file at all.
    """
    found: dict[tuple[Path, str | None], BvhSource] = {}
    for path in map(Path, paths):
        for source in _sources(path):
            found.setdefault((source.path.resolve(), source.member), source)
    if not found:
        where = ", ".join(map(str, paths)) or "no path"
        raise DuaError(f"no .bvh file in {where}; name folders or files with BVH motion, or zip archives of them")
    return sorted(_with_unique_names(list(found.values())), key=lambda source: (source.name, str(source)))


def _sources(path: Path) -> Iterator[BvhSource]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if _is_bvh(file.name) and file.is_file():
                yield BvhSource(file.stem, file)
    elif not path.exists():
        raise DuaError(f"{path} does not exist; check the path")
    elif _is_bvh(path.name):
        yield BvhSource(path.stem, path)
    elif path.suffix.lower() == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                members = sorted({info.filename for info in archive.infolist() if not info.is_dir()})
        except (OSError, zipfile.BadZipFile) as error:
            raise DuaError(f"{path} is not a zip archive or is damaged ({error}); download it again") from error
        for member in members:
            if _is_bvh(PurePosixPath(member).name):
                yield BvhSource(PurePosixPath(member).stem, path, member)
    else:
        raise DuaError(f"{path} is neither a folder, nor a .bvh file, nor a .zip archive")


def _is_bvh(name: str) -> bool:
    return name.lower().endswith(".bvh") and not name.startswith(".")  # macOS puts ._NAME.bvh beside NAME.bvh


def _with_unique_names(sources: list[BvhSource]) -> list[BvhSource]:
    """Clips are kept by name: two recordings called walk.bvh become styleA_walk and styleB_walk."""
    names = [source.name for source in sources]
    unique: dict[str, BvhSource] = {}
    for source in sorted(sources, key=str):
        name = source.name
        if names.count(name) > 1:
            folder = source.path.parent.name if source.member is None else PurePosixPath(source.member).parent.name
            name = f"{folder or source.path.stem}_{name}"
        numbered = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        name = next(candidate for candidate in numbered if candidate not in unique)
        unique[name] = replace(source, name=name)
    return list(unique.values())


# --- Reading a file ---------------------------------------------------------------------------------------------------
# No library does it: pybvh 0.9 refuses joints other than the root that have positions (all of Bandai-Namco's do), bvhio
# 1.5 never returns from a file that is cut off, and neither it nor bvhtoolbox 0.1 counts frames or numbers.
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
    return BvhFile(joints, *_parse_motion(lines, start + 1, sum(len(joint.channels) for joint in joints), label))


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


# --- Which joint is which ---------------------------------------------------------------------------------------------
Convention = Mapping[str, str]
"""{role: name of the joint}."""


def load_conventions(extra: str | Path | None = None) -> dict[str, Convention]:
    """The conventions that are known, those of the user's file first.

    Args:
        extra: a JSON file in the form of `bvh_conventions.json`: {convention: {role: name of the joint}}; see `ROLES`.

    Raises:
        DuaError: the file is missing or not of that form.
    """
    own = json.loads(Path(__file__).with_name("bvh_conventions.json").read_text())
    if extra is None:
        return own
    form = '{"my_rig": {"hips": "Hips", "l_upper_leg": "LeftThigh", ...}}'
    try:
        conventions = json.loads(Path(extra).read_text(encoding="utf-8"))
    except OSError as error:
        raise DuaError(f"cannot read {extra}: {error.strerror}; a JSON file was expected that looks like {form}") from error
    except ValueError as error:
        raise DuaError(f"{extra} is not JSON ({error}); it should look like {form}") from error
    if not isinstance(conventions, dict) or not conventions:
        raise DuaError(f"{extra}: an object was expected that looks like {form}")
    for name, convention in conventions.items():
        if not isinstance(convention, dict) or not all(isinstance(joint, str) for joint in convention.values()):
            raise DuaError(f"{extra}: {name} should be an object of roles and joint names, as in {form}")
        if unknown := [role for role in convention if role not in ROLES]:
            raise DuaError(f"{extra}: {name} has unknown roles {', '.join(unknown)}; known are {', '.join(ROLES)}")
        if missing := [role for role in REQUIRED_ROLES if role not in convention]:
            raise DuaError(f"{extra}: {name} lacks the roles {', '.join(missing)}")
    return conventions | {name: convention for name, convention in own.items() if name not in conventions}


def match_roles(names: Sequence[str], conventions: Mapping[str, Convention], label: str) -> dict[str, int]:
    """Which joint has which role, by the convention that fits best.

    Args:
        names: of the joints. What stands before a colon ('mixamorig:Hips') or before an underscore in every name
            ('Character1_Hips') does not count, nor does upper or lower case.

    Returns:
        {role: index of the joint}; all of `REQUIRED_ROLES`, and the optional ones that there are.

    Raises:
        DuaError: no convention fits; the message lists the joints and what the nearest convention lacks.
    """
    index = {name: i for i, name in reversed(list(enumerate(_without_prefix(names))))}
    matches = {
        title: {role: index[joint.lower()] for role, joint in convention.items() if joint.lower() in index}
        for title, convention in conventions.items()
    }
    best = max(matches, key=lambda title: (len(_required(matches[title])), len(matches[title])))
    if missing := [role for role in REQUIRED_ROLES if role not in matches[best]]:
        raise DuaError(
            f"{label}: unknown skeleton with the joints {', '.join(names)}; the nearest convention, {best}, lacks "
            f"{', '.join(f'{role} ({conventions[best][role]})' for role in missing)}. "
            "Name the joints in a JSON file that has the form of common/bvh_conventions.json"
        )
    return matches[best]


def _required(roles: Mapping[str, int]) -> list[str]:
    return [role for role in REQUIRED_ROLES if role in roles]


def _without_prefix(names: Sequence[str]) -> list[str]:
    names = [name.rsplit(":", 1)[-1].lower() for name in names]
    before, separator, _ = names[0].partition("_")
    if separator and all(name.startswith(before + "_") for name in names):
        names = [name.removeprefix(before + "_") for name in names]
    return names


# --- Forward kinematics -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Skeleton:
    """What the joints do, by role. Row 0 is the rest pose, the frames follow: F = 1 + T rows.

    Attributes:
        places: {role: (F, 3)} in the file's unit and world; 'l_toe' may be the end of the foot's bone.
        rotations: {role: (F, 3, 3)} from the joint's own axes to the world.
    """

    places: dict[str, np.ndarray]
    rotations: dict[str, np.ndarray]


def _move_skeleton(file: BvhFile, roles: Mapping[str, int]) -> _Skeleton:
    """Forward kinematics of a file, for the joints that have a role."""
    count = len(file.frames) + 1
    places: list[np.ndarray] = []
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
            places.append(places[joint.parent] + _apply(rotations[joint.parent], shift))
            rotations.append(rotations[joint.parent] @ turn)
    skeleton = _Skeleton({role: places[i] for role, i in roles.items()}, {role: rotations[i] for role, i in roles.items()})
    for side in "lr":
        end = file.joints[roles[f"{side}_foot"]].end_site
        if f"{side}_toe" not in roles and end is not None:
            skeleton.places[f"{side}_toe"] = skeleton.places[f"{side}_foot"] + skeleton.rotations[f"{side}_foot"] @ end
    return skeleton


def _to_y_up(skeleton: _Skeleton) -> _Skeleton:
    """Turn the file's world so that y is up: some files have z up.

    Two things tell the axis: people mostly have their head above their feet, and whatever touches the floor does so at
    the same height all the time, which also tells it of somebody who crawls.
    """
    places = np.stack(list(skeleton.places.values()), axis=1)[1:]  # (T, roles, 3)
    head, left, right = (skeleton.places[role][1:] for role in ("head", "l_foot", "r_foot"))
    rise = _unit(head - (left + right) / 2).mean(axis=0)  # (3,)
    floor = places.min(axis=1).std(axis=0) / _leg_length(skeleton)
    if rise[1] - floor[1] >= rise[2] - floor[2]:
        return skeleton
    to_y_up = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    return _Skeleton(
        {role: points @ to_y_up.T for role, points in skeleton.places.items()},
        {role: to_y_up @ rotation for role, rotation in skeleton.rotations.items()},
    )


def _leg_length(skeleton: _Skeleton) -> float:
    """Hip to knee to ankle, mean of both legs, in the file's unit."""
    legs = [_LIMBS[f"{side}_thigh"] for side in "lr"]
    bones = [bone for upper, lower, end in legs for bone in ((upper, lower), (lower, end))]
    return float(sum(_length(skeleton.places[stop] - skeleton.places[start]).mean() for start, stop in bones)) / 2


def _check_bones(skeleton: _Skeleton, label: str) -> None:
    """Refuse a skeleton in which joints that a part lies between are in one place."""
    bones = [("l_upper_leg", "r_upper_leg"), ("l_upper_arm", "r_upper_arm"), ("l_upper_leg", "neck")]
    bones += [bone for upper, lower, end in _LIMBS.values() for bone in ((upper, lower), (lower, end))]
    for start, stop in bones:
        if not _length(skeleton.places[stop] - skeleton.places[start]).min() > 0:
            raise DuaError(f"{label}: {start} and {stop} are in one place; the file has no bone there, or names the wrong joints")


# --- From joints to body parts ----------------------------------------------------------------------------------------
_LIMBS = {
    f"{side}_{part}": (f"{side}_upper_{limb}", f"{side}_lower_{limb}", f"{side}_{end}")
    for side in "lr"
    for part, limb, end in (("thigh", "leg", "foot"), ("upper_arm", "arm", "hand"))
}
"""The upper part of each limb: its joint, the joint in its middle, and the one at its end."""

# Proportions of the reference body (`common.body`), seen from the middle of the hips and in the axes of the pelvis.
_PELVIS = np.array([0.007, 0.091, 0.0]) / 0.778
"""The pelvis' own place, in leg lengths."""
_WAIST = np.array([-0.013, 0.221, 0.0]) / 0.603
"""Where the trunk bends, in lengths of the upright trunk from hips to neck."""
_NECK_BACK = 0.060
"""How far the neck lies behind the chest's long axis, per length of it: people stand upright with the neck so."""
_TOE_DOWN = 0.47
"""How far the toes lie below the ankle, per length in front of it, where no frame shows the sole on the floor."""

_UPRIGHT = np.cos(np.radians(35))
"""A trunk no further than this from the vertical counts as upright."""
_NEAR_AXIS = np.cos(np.radians(35))
"""How far from an axis of its joint the trunk may lie on average for that axis to be what is meant."""
_NECK_TURN = np.cos(np.radians(80))
"""How far a head turns against the chest."""
_BEND_PRIOR = 0.03
"""A knee or elbow that never bends by more than about ten degrees (sine squared) does not tell its axis."""


@dataclass(frozen=True)
class _Reference:
    """Rows in which a person stands as parts do whose axes are the world's, and so tell how joints sit in parts.

    Attributes:
        weight: (F,) of each row, summing to 1.
        up: (F, 3) where up is.
        stands: False if there is no such row; then `up` is along the trunk, whichever way that lies.
    """

    weight: np.ndarray
    up: np.ndarray
    stands: bool

    @property
    def rest(self) -> bool:
        """Whether the rest pose is what tells."""
        return bool(self.weight[0] > 0)

    @property
    def uniform(self) -> np.ndarray:
        """(F,) the same weight for every row."""
        return np.full(len(self.weight), 1 / len(self.weight))


def _reference(skeleton: _Skeleton) -> _Reference:
    hips = _middle(skeleton.places, "upper_leg")
    trunk = _unit(skeleton.places["neck"] - hips)  # (F, 3)
    up = np.tile([0.0, 1.0, 0.0], (len(trunk), 1))
    weight = np.zeros(len(trunk))
    y, z = np.eye(3)[1:]
    for axis in (y, z, -z):  # the rest pose may be y up in a world with z up, and the other way round
        if _stands_at_rest(skeleton, axis):
            weight[0], up[0] = 1.0, axis
            return _Reference(weight, up, True)
    upright = trunk[1:, 1]
    if upright.max() < _UPRIGHT:
        weight[1:] = 1 / len(upright)
        return _Reference(weight, trunk, False)
    weight[1:] = np.maximum(upright, 0) ** 20  # half at 15 degrees, a twentieth at 30
    return _Reference(weight / weight.sum(), up, True)


def _stands_at_rest(skeleton: _Skeleton, up: np.ndarray) -> bool:
    """Whether the rest pose is a person standing: most formats have one in T-pose, some lay all bones along x."""
    rest = {role: points[0] for role, points in skeleton.places.items()}
    right = _unit(rest["r_upper_leg"] - rest["l_upper_leg"])
    trunk = _unit(rest["neck"] - (rest["r_upper_leg"] + rest["l_upper_leg"]) / 2)
    bones = [trunk]
    for side in "lr":
        upper, lower, end = (rest[role] for role in _LIMBS[f"{side}_thigh"])
        bones += [_unit(upper - lower), _unit(lower - end)]
        toe = rest.get(f"{side}_toe", end)
        if toe @ np.cross(up, right) < end @ np.cross(up, right):
            return False
    return abs(right @ up) < 0.2 and all(bone @ up > 0.9 for bone in bones)


def _part_orientations(skeleton: _Skeleton, leg_length: float) -> dict[str, np.ndarray]:
    """{part: (F, 3, 3)} from the part's axes to the world."""
    places, rotations = skeleton.places, skeleton.rotations
    reference = _reference(skeleton)
    weight = reference.weight
    parts = {}

    hips = _middle(places, "upper_leg")
    right = _fixed(rotations["hips"], places["r_upper_leg"] - places["l_upper_leg"], reference.uniform)
    neck = places["neck"] - hips
    upwards = _along_trunk(rotations["hips"], neck, reference)
    parts["pelvis"] = _axes(upwards - _dot(upwards, right) * right, right)

    # The chest leans as the line from the waist to the neck does, and turns as recorded: shoulders move against it.
    waist = _apply(parts["pelvis"], _WAIST) * (weight @ _length(neck))
    collars = "collar" if _collars_apart(skeleton, leg_length) else "upper_arm"
    right = _fixed(rotations["chest"], places[f"r_{collars}"] - places[f"l_{collars}"], weight)
    spine = _axes(neck - waist, right)
    if reference.rest:  # where the file puts the neck of somebody upright
        parts["chest"] = _axes(_fixed(spine, reference.up, weight), right)
    else:
        parts["chest"] = _axes(spine[..., 1] + _NECK_BACK * spine[..., 0], right)

    # The head looks where the chest does when the joints between them do not turn, as they do not in the rest pose: the
    # axes of a rig's spine run all alike. Where they do not, or a neck cannot turn so far, the clip's average counts.
    straight = _axes(_along_trunk(rotations["chest"], neck, reference), right)
    straight = rotations["head"] @ rotations["chest"].swapaxes(1, 2) @ straight
    average = _fixed(rotations["head"], right, weight)
    alike = _unit(places["head"] - places["neck"])[0] @ straight[0, :, 1] > 0.5
    if alike and average[0] @ straight[0, :, 2] > _NECK_TURN:
        parts["head"] = straight
    else:
        parts["head"] = _axes(_fixed(rotations["head"], reference.up, weight), average)

    for upper, roles in _LIMBS.items():
        lower = upper.replace("thigh", "shin").replace("upper_arm", "forearm")
        parts[upper], parts[lower] = _limb(skeleton, roles, parts[PART_PARENTS[upper] or ""], weight, elbow="arm" in upper)
    for side in "lr":
        parts[f"{side}_foot"] = _foot(skeleton, side, parts[f"{side}_shin"], reference, leg_length)
    return parts


def _collars_apart(skeleton: _Skeleton, leg_length: float) -> bool:
    """Collars that are joints of the chest show its sideways axis exactly, if they do not start from one point."""
    left, right = (skeleton.places.get(f"{side}_collar") for side in "lr")
    return left is not None and right is not None and bool(_length(left - right)[0] > 0.04 * leg_length)


def _limb(
    skeleton: _Skeleton, roles: tuple[str, str, str], parent: np.ndarray, weight: np.ndarray, elbow: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Orientations (F, 3, 3) of the upper and the lower part of a limb, with z along the axis of the knee or elbow.

    That axis is fixed in the upper joint's own axes, so that it stays where the recording has it when the limb is
    straight. Where it bends, upper and lower bone span the plane across it: forearms fold forwards, shins backwards.
    """
    start, middle, end = (skeleton.places[role] for role in roles)
    upper, lower = _unit(middle - start), _unit(end - middle)
    rotation = skeleton.rotations[roles[0]]
    bend = np.cross(upper, lower) if elbow else np.cross(lower, upper)  # as long as the sine of the angle
    seen = np.mean(_length(bend)[:, None] * _apply(rotation.swapaxes(1, 2), bend), axis=0)
    # What a limb that is carried from hanging to its direction without a twist would have; less sure the further it is.
    down, side = -parent[..., 1], parent[..., 2]
    near = 1 + _dot(down, upper)
    untwisted = side * near - _dot(side, upper) * (down + upper)
    expected = weight @ _apply(rotation.swapaxes(1, 2), untwisted / 2)
    across = _apply(rotation, _unit(seen + _BEND_PRIOR * expected))
    return _axes(-upper, across), _axes(-lower, across)


def _foot(skeleton: _Skeleton, side: str, shin: np.ndarray, reference: _Reference, leg_length: float) -> np.ndarray:
    """Orientation (F, 3, 3) of a foot: the sole is level where the ankle is low, the toes are in front of the ankle."""
    rotation, ankle = skeleton.rotations[f"{side}_foot"], skeleton.places[f"{side}_foot"]
    toe = skeleton.places.get(f"{side}_toe")
    shown = toe is not None and _length(toe - ankle)[0] > 0.02 * leg_length
    forward = _unit(toe - ankle) if shown else _fixed(rotation, shin[..., 0], reference.weight)
    if reference.rest or not shown:
        upward = _fixed(rotation, reference.up, reference.weight)
    elif reference.stands:
        height = ankle[:, 1] - ankle[reference.weight > 1e-3, 1].min()
        upward = _fixed(rotation, reference.up, reference.weight * np.exp(-height / (0.03 * leg_length)))
    else:
        upward = _axes(-forward, shin[..., 2])[..., 0] - _TOE_DOWN * forward
    return _axes(upward, np.cross(forward, upward))


def _along_trunk(rotation: np.ndarray, trunk: np.ndarray, reference: _Reference) -> np.ndarray:
    """The direction (F, 3), fixed in a trunk joint's own axes, that runs along the trunk when the person stands.

    A rig whose rest pose is not a person has joints whose axes run along and across the bones. The axis that is nearest
    to the average is then better than the average, which a clip of somebody bowing pulls forwards.
    """
    if reference.rest:
        return _fixed(rotation, reference.up, reference.weight)
    average = _unit(reference.weight @ _apply(rotation.swapaxes(1, 2), trunk))
    if np.abs(average).max() > _NEAR_AXIS:
        average = np.where(np.abs(average) == np.abs(average).max(), np.sign(average), 0.0)
    return rotation @ average


def _fixed(rotation: np.ndarray, vectors: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The direction, fixed in a joint's own axes, that `vectors` (F, 3) have on average, in the world: (F, 3)."""
    return _apply(rotation, _unit(weight @ _apply(rotation.swapaxes(1, 2), vectors)))


def _axes(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(F, 3, 3) rotations whose columns are x, y and z: y as given, z as near to the given one as it can be."""
    y = _unit(y)
    z = _unit(z - _dot(y, z) * y)
    return np.stack([np.cross(y, z), y, z], axis=-1)


def _middle(places: Mapping[str, np.ndarray], role: str) -> np.ndarray:
    return (places[f"l_{role}"] + places[f"r_{role}"]) / 2


def _apply(rotation: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("fij,fj->fi", rotation, np.broadcast_to(vectors, (len(rotation), 3)))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sum(a * b, axis=-1, keepdims=True)


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


# --- The whole way ----------------------------------------------------------------------------------------------------
def load_bvh(source: BvhSource, fps: float, extra_conventions: str | Path | None = None) -> Motion:
    """Read a BVH file as a motion.

    Args:
        source: from `find_bvh`.
        fps: frames per second that the motion is resampled to.
        extra_conventions: a JSON file that names the joints of further skeletons (see `load_conventions`).

    Returns:
        The motion in a world with y up; heights are those of the file, in leg lengths.

    Raises:
        DuaError: the file is not whole, or its skeleton is not known. The message names the file, and the line if it can.
    """
    label = str(source)
    file = parse_bvh(source.read(), label)
    roles = match_roles([joint.name for joint in file.joints], load_conventions(extra_conventions), label)
    skeleton = _move_skeleton(file, roles)
    _check_bones(skeleton, label)
    skeleton = _to_y_up(skeleton)
    leg_length = _leg_length(skeleton)
    parts = _part_orientations(skeleton, leg_length)
    pelvis = _middle(skeleton.places, "upper_leg") + _apply(parts["pelvis"], _PELVIS) * leg_length
    local = np.stack(
        [parts[part] if parent is None else parts[parent].swapaxes(1, 2) @ parts[part] for part, parent in PART_PARENTS.items()],
        axis=1,
    )
    if not (np.linalg.det(local) > 0.9).all():
        raise DuaError(f"{label}: the bones do not make up a body; the file is damaged, or joints are named wrongly")
    rotations = _quaternions(local[1:])
    root = pelvis[1:] / leg_length
    if _begins_with_a_pose(rotations):
        root, rotations = root[1:], rotations[1:]
    # Files round the time of a frame: 0.0333333 s means 30 frames a second, so that the last frame is not lost.
    rate = 1 / file.frame_time
    rate = round(rate) if abs(rate - round(rate)) < 1e-4 * rate else rate
    return resample(Motion(source.name, (source.name,), root, rotations, rate), fps)


def _begins_with_a_pose(rotations: np.ndarray) -> bool:
    """Whether the first frame is no part of the motion: many files, CMU's among them, put a T-pose there.

    Then most parts leap from it, and never again.
    """
    cosines = np.abs(np.sum(rotations[1:] * rotations[:-1], axis=-1))
    leaps = np.median(2 * np.arccos(np.clip(cosines, 0, 1)), axis=1)  # (T - 1,) radians
    return len(leaps) > 2 and leaps[0] > max(np.radians(5), 4 * leaps[1:].max())


def _quaternions(matrices: np.ndarray) -> np.ndarray:
    """(T, P, 3, 3) rotations to (T, P, 4) quaternions w x y z, each on the side of the sphere that the last was on."""
    quaternions = np.roll(Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_quat(), 1, axis=-1)
    quaternions = quaternions.reshape(*matrices.shape[:2], 4)
    same_side = np.sum(quaternions[1:] * quaternions[:-1], axis=-1, keepdims=True) >= 0
    quaternions[1:] *= np.cumprod(np.where(same_side, 1, -1), axis=0)
    return quaternions
