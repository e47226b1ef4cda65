"""Stacked-hourglass detections of Human3.6M, as 3d-pose-baseline's archives hold them. Archives are never extracted."""

import numpy as np
from tqdm import tqdm

from common.datasets.anomalies import pixels_problem
from common.datasets.h36m import CORRUPT_CLIPS
from common.datasets.poses import check_finite
from common.errors import DuaError
from common.geometry.camera import normalize_screen_coordinates
from common.geometry.skeleton import HOURGLASS_TO_16
from common.preparation.h5_archive import H5Archive
from common.preparation.h36m_arrays import check_numbers
from common.preparation.h36m_names import CAMERAS, SUBJECTS, split_camera, take_clips
from common.preparation.h36m_writer import Positions2D

DETECTION_FOLDERS = {"sh_pt_mpii": "StackedHourglass", "sh_ft_h36m": "StackedHourglassFineTuned240"}
"""By the name of the 2D source: the folder that holds its detections in 3d-pose-baseline's archives."""

_EVERY = 10  # frame of those in which anomalies are looked for
_RESOLUTION = (1000, 1000)  # of the cameras, two of which have two rows more


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
    files: dict[tuple[str, str, str], str] = {}
    for subject, stem, member in archive.members(folder):
        action, camera = split_camera(stem)
        if not camera:
            raise DuaError(
                f"{archive.path}: {member} names no camera; ACTION.CAMERA.h5 with one of {', '.join(CAMERAS)} was expected"
            )
        key = (subject, action, camera)
        if key[:2] in CORRUPT_CLIPS:
            continue
        if key in files:
            raise DuaError(f"{archive.path} holds {' '.join(key)} twice, as {files[key]} and {member}; keep one")
        files[key] = member
    clips = take_clips({key[:2]: member for key, member in files.items()}, archive.path, f"{folder}/*.h5", allow_partial)
    files = {key: member for key, member in files.items() if key[:2] in clips}
    for subject, action in sorted(clips):
        missing = [camera for camera in CAMERAS if (subject, action, camera) not in files]
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
        subject: {action: [pixels[subject, action, camera] for camera in CAMERAS] for s, action in sorted(clips) if s == subject}
        for subject in SUBJECTS
        if any(s == subject for s, _ in clips)
    }


def _read_pixels(archive: H5Archive, member: str) -> np.ndarray:
    values = archive.read(member, "poses", 16 * 2)
    where = f"{archive.path}: {member}"
    if values.ndim != 3 or values.shape[1:] != (16, 2) or not len(values):
        raise DuaError(f"{where} has 'poses' of shape {values.shape}, (T, 16, 2) was expected; get it again")
    check_numbers(values, where)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = values[:, list(HOURGLASS_TO_16)].astype(np.float32)
    check_finite(pixels, where)
    return pixels
