"""Human3.6M's 3D joints from what people have of them: 3d-pose-baseline's archive, `.mat` or `.cdf` files.

All readers return what `common.preparation.h36m_writer` writes. Archives are never extracted
(`common.preparation.h5_archive`); every size is checked before memory is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.datasets.anomalies import check_bodies
from common.datasets.h36m import CORRUPT_CLIPS
from common.errors import DuaError
from common.geometry.h36m_world import check_world
from common.geometry.skeleton import H36M_32_TO_16
from common.preparation.h5_archive import H5Archive
from common.preparation.h36m_arrays import read_cdf_file, read_h5, read_mat_file, to_metres
from common.preparation.h36m_names import SUBJECTS, split_camera, take_clips
from common.preparation.h36m_writer import Positions3D

_EVERY = 10  # frame of those in which anomalies are looked for
_FEATURES = "MyPoseFeatures"
_REMEDY = "take D3_Positions of Human3.6M as they are"


@dataclass(frozen=True)
class _File:
    """One file of 3D joints: `read` returns its (T, 32, 3) world millimetres. `camera` is the one that its name names, or ''."""

    subject: str
    action: str
    camera: str
    where: str
    read: Callable[[], np.ndarray]

    def __str__(self) -> str:
        return self.where


def read_archive(archive: H5Archive, allow_partial: bool = False) -> Positions3D:
    """3D joints of 3d-pose-baseline's `h36m.zip`: `h36m/S*/MyPoses/3D_positions/ACTION.h5`, dataset `3D_positions`.

    Args:
        allow_partial: take an archive that lacks sequences or subjects, and leave out what is no sequence of Human3.6M.

    Returns:
        {subject: {action: (T, 32, 3) float32}}, metres in the world, without the clips that are known to be corrupt.

    Raises:
        DuaError: sequences are missing or too many, a file is damaged or not (96, T) millimetres, joints are not finite, or
            are in the axes of a camera.
    """
    folder = "MyPoses/3D_positions"
    files = [
        _File(subject, *split_camera(stem), f"{archive.path}: {member}", partial(read_h5, archive, member))
        for subject, stem, member in archive.members(folder)
    ]
    return _read_files(files, archive.path, f"{folder}/*.h5", allow_partial)


def read_mat(folder: str | Path, allow_partial: bool = False) -> Positions3D:
    """3D joints of `S*/MyPoseFeatures/D3_Positions/ACTION.cdf.mat`. Arguments, result and errors as `read_archive`."""
    return _read_tree(Path(folder), ".cdf.mat", read_mat_file, allow_partial)


def read_cdf(folder: str | Path, allow_partial: bool = False) -> Positions3D:
    """3D joints of Human3.6M's own `S*/MyPoseFeatures/D3_Positions/ACTION.cdf`. All else as `read_archive`."""
    return _read_tree(Path(folder), ".cdf", read_cdf_file, allow_partial)


def _read_tree(folder: Path, suffix: str, read_file: Callable[[Path], np.ndarray], allow_partial: bool) -> Positions3D:
    if not folder.is_dir():
        raise DuaError(f"{folder} is no folder; name the one that holds S1, S5, ... (data/README.md)")
    inner = f"{_FEATURES}/D3_Positions"
    files = []
    for subject in SUBJECTS:
        for file in sorted((folder / subject / inner).glob(f"*{suffix}")):
            if not file.name.startswith("."):
                files.append(_File(subject, *split_camera(file.name.removesuffix(suffix)), str(file), partial(read_file, file)))
    others = {path.name for subject in SUBJECTS for path in (folder / subject / _FEATURES).glob("D3_*/")}
    if not files and others:
        raise DuaError(
            f"{folder} has {', '.join(sorted(others))} in S*/{_FEATURES}, but no S*/{inner}/*{suffix}, which are the joints in the "
            "world; get Human3.6M's 'D3 Positions' (data/README.md)"
        )
    return _read_files(files, folder, f"{inner}/*{suffix}", allow_partial)


def _read_files(files: list[_File], source: Path, pattern: str, allow_partial: bool) -> Positions3D:
    files = [file for file in files if (file.subject, file.action) not in CORRUPT_CLIPS]
    _refuse_views(files, source, pattern)
    by_name: dict[tuple[str, str], _File] = {}
    for file in files:
        key = (file.subject, file.action)
        if key in by_name:
            raise DuaError(f"{source} holds {file.subject} {file.action} twice, as {by_name[key]} and {file}; keep one")
        by_name[key] = file
    by_name = take_clips(by_name, source, pattern, allow_partial)
    positions: Positions3D = {subject: {} for subject in SUBJECTS}
    with tqdm(by_name.values(), desc="3D", unit="sequence", disable=None) as bar:
        for file in bar:
            positions[file.subject][file.action] = to_metres(file.read(), file.subject, file.where)
    samples = {
        subject: np.concatenate([world[::_EVERY] for world in actions.values()])
        for subject, actions in positions.items()
        if actions
    }
    for subject, sample in samples.items():
        check_world(sample, subject, f"{source}: {subject}", _REMEDY)
    check_bodies(np.concatenate(list(samples.values()))[:, list(H36M_32_TO_16)], source, _REMEDY)
    return {subject: dict(sorted(actions.items())) for subject, actions in positions.items() if actions}


def _refuse_views(files: list[_File], source: Path, pattern: str) -> None:
    """Joints in the world belong to no camera: a file for each is what Human3.6M publishes as `D3_Positions_mono`."""
    if views := [file for file in files if file.camera]:
        subject = views[0].subject
        count = sum(file.subject == subject for file in views)
        raise DuaError(
            f"{source}: {count} of the files {subject}/{pattern} are named by camera, as {views[0]} is: these are camera coordinates, "
            f"which Human3.6M publishes as D3_Positions_mono; {_REMEDY}, one file a sequence"
        )
