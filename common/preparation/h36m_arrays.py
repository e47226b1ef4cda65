"""One sequence of Human3.6M's 3D joints out of one file: HDF5, `.mat` or `.cdf`; every size is checked before memory is asked for."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.datasets.poses import check_finite, check_metres
from common.errors import DuaError, short_reason
from common.files.apart import run_apart
from common.files.matlab import load_mat
from common.geometry.h36m_world import check_world
from common.preparation.h5_archive import H5Archive, check_frames, check_size

_HIP, _HEAD = 0, 15  # among the 32 recorded joints


def read_h5(archive: H5Archive, member: str) -> np.ndarray:
    """(96, T) of the archive to (T, 32, 3): it keeps time last."""
    values = archive.read(member, "3D_positions", 32 * 3)
    if values.ndim != 2 or values.shape[0] != 96 or not values.size:
        raise DuaError(f"{archive.path}: {member} has '3D_positions' of shape {values.shape}, (96, T) was expected; get it again")
    return values.reshape(32, 3, -1).transpose(2, 0, 1)


def read_mat_file(path: Path) -> np.ndarray:
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


def read_cdf_file(path: Path) -> np.ndarray:
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


def to_metres(millimetres: np.ndarray, subject: str, where: str) -> np.ndarray:
    """(T, 32, 3) of any number type to float32 metres, once finite, plausibly a person, and in the world of their cameras."""
    check_numbers(millimetres, where)
    with np.errstate(over="ignore", invalid="ignore"):  # what no float32 can hold is reported as infinite
        metres = (millimetres / 1000).astype(np.float32)
    check_finite(metres, where)
    remedy = "take the unscaled D3_Positions of Human3.6M, in millimetres"
    check_metres(metres[:, _HIP], metres[:, _HEAD], where, remedy)
    check_world(metres, subject, where, "take D3_Positions of Human3.6M as they are", signs_needed=2)  # one may lie on the floor
    return metres


def check_numbers(values: np.ndarray, where: str) -> None:
    if values.dtype.kind not in "fiu":
        raise DuaError(f"{where} holds no real numbers (dtype {values.dtype}); get it again")
