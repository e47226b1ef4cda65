"""Human3.6M's sequences by name: whose and what they are, which of them are missing, and what is none of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from common.datasets.anomalies import warn
from common.datasets.h36m import CORRUPT_CLIPS, TEST_SUBJECTS, TRAIN_SUBJECTS
from common.datasets.poses import base_action
from common.errors import DuaError
from common.geometry.h36m_cameras import h36m_cameras

SUBJECTS = TRAIN_SUBJECTS + TEST_SUBJECTS
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting", "SittingDown",
    "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking",
)  # fmt: skip
TAKES = 2
"""Of each action by each subject. Their numbers differ: 'Phoning' and 'Phoning 1', or 'Phoning 2' and 'Phoning 3'."""

CAMERAS = tuple(camera.name for camera in h36m_cameras(SUBJECTS[0]))

# The release files of S1 name two actions differently; benchmarks and h36m.zip use the names of the other subjects.
_RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
_LISTED = 4  # names in a message

Clip = tuple[str, str]
"""(subject, action)."""
File = TypeVar("File")


def canonical_action(name: str) -> str:
    """'Directions_1' -> 'Directions 1', 'TakingPhoto' -> 'Photo'."""
    name = name.replace("_", " ")
    for recorded, canonical in _RENAMED.items():
        name = name.replace(recorded, canonical)
    return name


def split_camera(stem: str) -> tuple[str, str]:
    """(action, camera) of a file's name: 'Directions_1.54138969' -> ('Directions 1', '54138969'); '' where it names none."""
    action, separator, camera = stem.rpartition(".")
    if not separator or camera not in CAMERAS:
        return canonical_action(stem), ""
    return canonical_action(action), camera


def clips_expected(subject: str) -> int:
    """How many sequences of `subject` there are, corrupt ones left out."""
    return TAKES * len(ACTIONS) - sum(corrupt == subject for corrupt, _ in CORRUPT_CLIPS)


def take_clips(files: Mapping[Clip, File], source: object, pattern: str, allow_partial: bool) -> dict[Clip, File]:
    """The files of Human3.6M's sequences: all of them or, with `allow_partial`, those that there are.

    Args:
        files: {(subject, action): a file, which errors name by its `str`}, corrupt clips left out.
        pattern: of the files within a subject's folder.

    Raises:
        DuaError: there is none, or sequences are missing or too many; the message names the actions, or the files.
    """
    strangers = [clip for clip in files if base_action(clip[1]) not in ACTIONS]
    if len(strangers) == len(files):
        raise DuaError(
            f"{source} holds no S*/{pattern} that Human3.6M has; check that it is the right one, and that nothing in it was renamed "
            "(data/README.md)"
        )
    if not allow_partial:
        for subject in SUBJECTS:
            own = {action: file for (owner, action), file in files.items() if owner == subject}
            if problem := _problem(subject, own, [action for owner, action in strangers if owner == subject]):
                raise DuaError(
                    f"{source}: {subject}/{pattern} are {len(own)} sequences, {clips_expected(subject)} were expected"
                    f"{_corrupt_note(subject)}{problem}"
                )
    elif strangers:
        named = _listed(str(files[clip]) for clip in strangers)
        warn(f"{source}: left out, since no sequence of Human3.6M is called so: {named}")
    return {clip: file for clip, file in files.items() if clip not in strangers}


def _problem(subject: str, files: Mapping[str, File], strangers: Sequence[str]) -> str:
    """What is wrong with one subject's {action: file}, as the end of a sentence, and what to do; '' if they are complete."""
    if strangers:
        return (
            f"; no sequence of Human3.6M is called as {_listed(str(files[action]) for action in strangers)}: move what is none "
            "elsewhere, or have it left out with --allow-partial"
        )
    takes = Counter(base_action(action) for action in files)
    if len(files) > clips_expected(subject):
        surplus = [str(file) for action, file in files.items() if takes[base_action(action)] > _takes_of(subject, action)]
        return (
            f"; each action was recorded {TAKES} times, so too many are among {_listed(surplus)}: move what is no recording "
            "elsewhere, or take all with --allow-partial"
        )
    if len(files) < clips_expected(subject):
        missing = [
            f"{action} {takes[action]} of {wanted}"
            for action in ACTIONS
            if takes[action] < (wanted := _takes_of(subject, action))
        ]
        return f"; there are of {_listed(missing)}: complete {subject}, or take what there is with --allow-partial"
    return ""


def _takes_of(subject: str, action: str) -> int:
    """How often `subject` was recorded at an action, corrupt clips left out."""
    name = base_action(action)
    return TAKES - sum((subject, name) == (owner, base_action(corrupt)) for owner, corrupt in CORRUPT_CLIPS)


def _corrupt_note(subject: str) -> str:
    names = ", ".join(f"'{action}'" for corrupt, action in sorted(CORRUPT_CLIPS) if corrupt == subject)
    return f" ({names}, which is corrupt, left out)" if names else ""


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
