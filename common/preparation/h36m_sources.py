"""Human3.6M from what people have of it: 3d-pose-baseline's archive, `.mat` or `.cdf` files, hourglass detections.

All readers return what `common.preparation.h36m_writer` writes. Archives are never extracted
(`common.preparation.h5_archive`); every size is checked before memory is asked for.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.datasets.anomalies import check_bodies, pixels_problem
from common.datasets.h36m import CORRUPT_CLIPS, TEST_SUBJECTS, TRAIN_SUBJECTS
from common.datasets.poses import check_finite, check_metres
from common.errors import DuaError, short_reason
from common.files.apart import run_apart
from common.files.matlab import load_mat
from common.geometry.camera import normalize_screen_coordinates
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import H36M_32_TO_16, HOURGLASS_TO_16
from common.preparation.h5_archive import H5Archive, check_frames, check_size
from common.preparation.h36m_writer import Positions2D, Positions3D

SUBJECTS = TRAIN_SUBJECTS + TEST_SUBJECTS
CLIPS_PER_SUBJECT = 30
"""Fifteen actions, each recorded twice."""

DETECTION_FOLDERS = {"sh_pt_mpii": "StackedHourglass", "sh_ft_h36m": "StackedHourglassFineTuned240"}
"""By the name of the 2D source: the folder that holds its detections in 3d-pose-baseline's archives."""

# The release files of S1 name two actions differently; benchmarks and h36m.zip use the names of the other subjects.
_RENAMED = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}

_HIP, _HEAD = 0, 15  # among the 32 recorded joints

_EVERY = 10  # frame of those in which anomalies are looked for
_RESOLUTION = (1000, 1000)  # of the cameras, two of which have two rows more


@dataclass(frozen=True)
class _Clip:
    """One file of 3D joints: `read` returns its (T, 32, 3) world millimetres."""

    subject: str
    action: str
    where: str
    read: Callable[[], np.ndarray]


def read_archive(archive: H5Archive, allow_partial: bool = False) -> Positions3D:
    """3D joints of 3d-pose-baseline's `h36m.zip`: `h36m/S*/MyPoses/3D_positions/ACTION.h5`, dataset `3D_positions`.

    Args:
        allow_partial: take an archive that lacks sequences or subjects.

    Returns:
        {subject: {action: (T, 32, 3) float32}}, metres in the world, without the clips that are known to be corrupt.

    Raises:
        DuaError: sequences are missing, a file is damaged or not (96, T) millimetres, or joints are not finite.
    """
    folder = "MyPoses/3D_positions"
    clips = [
        _Clip(subject, canonical_action(stem), f"{archive.path}: {member}", partial(_read_h5, archive, member))
        for subject, stem, member in archive.members(folder)
    ]
    return _read_clips(clips, archive.path, f"{folder}/*.h5", allow_partial)


def read_mat(folder: str | Path, allow_partial: bool = False) -> Positions3D:
    """3D joints of `S*/MyPoseFeatures/D3_Positions/ACTION.cdf.mat`. Arguments, result and errors as `read_archive`."""
    return _read_tree(Path(folder), ".cdf.mat", _read_mat_file, allow_partial)


def read_cdf(folder: str | Path, allow_partial: bool = False) -> Positions3D:
    """3D joints of Human3.6M's own `S*/MyPoseFeatures/D3_Positions/ACTION.cdf`. All else as `read_archive`."""
    return _read_tree(Path(folder), ".cdf", _read_cdf_file, allow_partial)


def detections_in(archive: H5Archive) -> list[str]:
    """Which of `DETECTION_FOLDERS` the archive holds.

    Raises:
        DuaError: none.
    """
    kinds = [kind for kind, folder in DETECTION_FOLDERS.items() if next(archive.members(folder), None)]
    if not kinds:
        folders = " and no ".join(f"S*/{folder}/*.h5" for folder in DETECTION_FOLDERS.values())
        raise DuaError(
            f"{archive.path} holds no {folders}: no stacked-hourglass detections; name their archive after --detections"
        )
    return kinds


def read_detections(archive: H5Archive, keypoints: str, allow_partial: bool = False) -> Positions2D:
    """Stacked-hourglass detections: `S*/FOLDER/ACTION.CAMERA.h5`, dataset `poses`, (T, 16, 2) pixels in MPII's order.

    Args:
        keypoints: 'sh_pt_mpii' or 'sh_ft_h36m'.
        allow_partial: take an archive that lacks sequences or subjects; a sequence needs its four cameras all the same.

    Returns:
        {subject: {action: [(T, 16, 2) float32 per camera]}}, pixels, joints and cameras in the order of this project.

    Raises:
        DuaError: sequences or cameras are missing, a file is damaged, not (T, 16, 2), or joints are not finite.
    """
    folder = DETECTION_FOLDERS[keypoints]
    cameras = [camera.name for camera in h36m_cameras(SUBJECTS[0])]
    files: dict[tuple[str, str, str], str] = {}
    for subject, stem, member in archive.members(folder):
        action, _, camera = stem.rpartition(".")
        if camera not in cameras:
            raise DuaError(
                f"{archive.path}: {member} names no camera; ACTION.CAMERA.h5 with one of {', '.join(cameras)} was expected"
            )
        key = (subject, canonical_action(action), camera)
        if key[:2] in CORRUPT_CLIPS:
            continue
        if key in files:
            raise DuaError(f"{archive.path} holds {' '.join(key)} twice, as {files[key]} and {member}; keep one")
        files[key] = member
    clips = {(subject, action) for subject, action, _ in files}
    _check_complete(clips, archive.path, f"{folder}/*.h5", allow_partial)
    for subject, action in sorted(clips):
        missing = [camera for camera in cameras if (subject, action, camera) not in files]
        if missing:
            raise DuaError(
                f"{archive.path}: {subject} {action} lacks camera {', '.join(missing)} in {folder}; get the archive again"
            )
    pixels = {}
    with tqdm(files.items(), desc=keypoints, unit="file", disable=None) as bar:
        for key, member in bar:
            pixels[key] = _read_pixels(archive, member)
    sample = np.concatenate([views[::_EVERY] for views in pixels.values()])
    if problem := pixels_problem(normalize_screen_coordinates(sample, *_RESOLUTION), np.ones(len(sample))):
        raise DuaError(f"{archive.path}: {folder}: {problem}; pixels of the whole image were expected, get the archive again")
    return {
        subject: {action: [pixels[subject, action, camera] for camera in cameras] for s, action in sorted(clips) if s == subject}
        for subject in SUBJECTS
        if any(s == subject for s, _ in clips)
    }


def _read_tree(folder: Path, suffix: str, read_file: Callable[[Path], np.ndarray], allow_partial: bool) -> Positions3D:
    if not folder.is_dir():
        raise DuaError(f"{folder} is no folder; name the one that holds S1, S5, ... (data/README.md)")
    inner = "MyPoseFeatures/D3_Positions"
    clips = []
    for subject in SUBJECTS:
        for file in sorted((folder / subject / inner).glob(f"*{suffix}")):
            if not file.name.startswith("."):
                action = canonical_action(file.name.removesuffix(suffix))
                clips.append(_Clip(subject, action, str(file), partial(read_file, file)))
    return _read_clips(clips, folder, f"{inner}/*{suffix}", allow_partial)


def _read_clips(clips: list[_Clip], source: Path, pattern: str, allow_partial: bool) -> Positions3D:
    by_name: dict[tuple[str, str], _Clip] = {}
    for clip in clips:
        key = (clip.subject, clip.action)
        if key in CORRUPT_CLIPS:
            continue
        if key in by_name:
            raise DuaError(
                f"{source} holds {clip.subject} {clip.action} twice, as {by_name[key].where} and {clip.where}; keep one"
            )
        by_name[key] = clip
    _check_complete(by_name, source, pattern, allow_partial)
    positions: Positions3D = {subject: {} for subject in SUBJECTS}
    with tqdm(by_name.values(), desc="3D", unit="sequence", disable=None) as bar:
        for clip in bar:
            positions[clip.subject][clip.action] = _to_metres(clip.read(), clip.where)
    sample = [world[::_EVERY, list(H36M_32_TO_16)] for actions in positions.values() for world in actions.values()]
    check_bodies(np.concatenate(sample), source, "take D3_Positions of Human3.6M as they are")
    return {subject: dict(sorted(actions.items())) for subject, actions in positions.items() if actions}


def clips_expected(subject: str) -> int:
    """How many sequences of `subject` there are, corrupt ones left out."""
    return CLIPS_PER_SUBJECT - sum(corrupt == subject for corrupt, _ in CORRUPT_CLIPS)


def _check_complete(clips: Collection[tuple[str, str]], source: Path, pattern: str, allow_partial: bool) -> None:
    if not clips:
        raise DuaError(
            f"{source} holds no S*/{pattern}; check that it is the right one, and that nothing in it was renamed (data/README.md)"
        )
    if allow_partial:
        return
    counts = Counter(subject for subject, _ in clips)
    for subject in SUBJECTS:
        if counts[subject] != clips_expected(subject):
            raise DuaError(
                f"{source}: {subject}/{pattern} are {counts[subject]} sequences, {clips_expected(subject)} were expected"
                f"{_corrupt_note(subject)}; complete {subject}, or take what there is with --allow-partial"
            )


def _corrupt_note(subject: str) -> str:
    names = ", ".join(f"'{action}'" for corrupt, action in sorted(CORRUPT_CLIPS) if corrupt == subject)
    return f" ({names}, which is corrupt, left out)" if names else ""


def canonical_action(name: str) -> str:
    """'Directions_1' -> 'Directions 1', 'TakingPhoto' -> 'Photo'."""
    name = name.replace("_", " ")
    for recorded, canonical in _RENAMED.items():
        name = name.replace(recorded, canonical)
    return name


def _read_h5(archive: H5Archive, member: str) -> np.ndarray:
    """(96, T) of the archive to (T, 32, 3): it keeps time last."""
    values = archive.read(member, "3D_positions", 32 * 3)
    if values.ndim != 2 or values.shape[0] != 96 or not values.size:
        raise DuaError(f"{archive.path}: {member} has '3D_positions' of shape {values.shape}, (96, T) was expected; get it again")
    return values.reshape(32, 3, -1).transpose(2, 0, 1)


def _read_mat_file(path: Path) -> np.ndarray:
    """(T, 32, 3) of the variable `data`: the 1 x 1 cell that MATLAB's `cdfread` returns, with (T, 96) in it."""
    try:
        check_size(path.stat().st_size, str(path))
        data = load_mat(path, ["data"]).get("data")
    except DuaError:
        raise
    except NotImplementedError as error:
        raise DuaError(f"{path}: {error}; save it with '-v7', or use --from-cdf") from error
    except Exception as error:
        raise DuaError(
            f"{path} is damaged or no .mat file ({short_reason(error)}); convert it again, or use --from-cdf"
        ) from error
    if data is None:
        raise DuaError(f"{path} has no variable 'data', which holds the joints; convert it again, or use --from-cdf")
    if data.dtype == object and data.size == 1:
        data = data.reshape(-1)[0]
    return _frames(data, f"{path}: 'data'")


def _read_cdf_file(path: Path) -> np.ndarray:
    """(T, 32, 3) of the variable `Pose`, (1, T, 96)."""
    try:
        import cdflib  # noqa: F401 - here, because nothing else needs it
    except ImportError as error:
        raise DuaError(f"reading {path} needs the package cdflib: pip install cdflib") from error
    try:
        check_size(path.stat().st_size, str(path))
        data = run_apart(partial(_read_pose, path))  # cdflib follows a damaged file's words to any size and round in circles
    except DuaError:
        raise
    except Exception as error:
        raise DuaError(f"{path} is damaged or no .cdf file ({short_reason(error)}); unpack or get it again") from error
    return _frames(data, f"{path}: 'Pose'")


def _read_pose(path: Path) -> np.ndarray:
    import cdflib

    cdf = cdflib.CDF(path)
    names = cdf.cdf_info().zVariables + cdf.cdf_info().rVariables
    if "Pose" not in names:
        raise DuaError(
            f"{path} has no variable 'Pose', it holds: {', '.join(names) or 'nothing'}; take D3_Positions of Human3.6M"
        )
    check_frames(int(np.prod(cdf.varinq("Pose").Dim_Sizes, dtype=object)) // 96, str(path))
    return np.asarray(cdf.varget("Pose"))


def _frames(data: Any, where: str) -> np.ndarray:
    """(T, 96) or (1, T, 96) to (T, 32, 3)."""
    values = np.asarray(data)
    if values.ndim < 2 or values.shape[-1] != 96 or values.size != 96 * values.shape[-2] or not values.size:
        raise DuaError(f"{where} has shape {values.shape}, (T, 96) was expected: 32 joints x 3; take D3_Positions of Human3.6M")
    return values.reshape(-1, 32, 3)


def _to_metres(millimetres: np.ndarray, where: str) -> np.ndarray:
    """(T, 32, 3) of any number type to float32 metres, once finite and plausibly a person."""
    _check_numbers(millimetres, where)
    with np.errstate(over="ignore", invalid="ignore"):  # what no float32 can hold is reported as infinite
        metres = (millimetres / 1000).astype(np.float32)
    check_finite(metres, where)
    remedy = "take the unscaled D3_Positions of Human3.6M, in millimetres"
    check_metres(metres[:, _HIP], metres[:, _HEAD], where, remedy)
    return metres


def _read_pixels(archive: H5Archive, member: str) -> np.ndarray:
    values = archive.read(member, "poses", 16 * 2)
    where = f"{archive.path}: {member}"
    if values.ndim != 3 or values.shape[1:] != (16, 2) or not len(values):
        raise DuaError(f"{where} has 'poses' of shape {values.shape}, (T, 16, 2) was expected; get it again")
    _check_numbers(values, where)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = values[:, list(HOURGLASS_TO_16)].astype(np.float32)
    check_finite(pixels, where)
    return pixels


def _check_numbers(values: np.ndarray, where: str) -> None:
    if values.dtype.kind not in "fiu":
        raise DuaError(f"{where} holds no real numbers (dtype {values.dtype}); get it again")
