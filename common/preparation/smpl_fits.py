"""SMPL fits of Human3.6M, as `.json` files of parameters, posed into joints and held against what was recorded."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, check_h36m
from common.datasets.poses import base_action, check_finite
from common.datasets.smpl import has_fit
from common.errors import DuaError, short_reason
from common.files.arrays import require_file
from common.geometry.skeleton import H36M_32_TO_16, H36M_32_TO_17, SMPL_24_TO_16
from common.preparation.h36m_names import canonical_action
from common.preparation.smpl_model import NUM_BETAS, BodyModel
from common.preparation.smpl_sources import Fits, checked, without_fit

MAX_ERROR_MM = 25.0
"""I2L-MeshNet and Pose2Mesh leave out fits that are worse."""

SUBJECTS = TRAIN_SUBJECTS + TEST_SUBJECTS
ACTIONS = {
    "2": "Directions", "3": "Discussion", "4": "Eating", "5": "Greeting", "6": "Phoning", "7": "Posing", "8": "Purchases",
    "9": "Sitting", "10": "SittingDown", "11": "Smoking", "12": "Photo", "13": "Waiting", "14": "Walking", "15": "WalkDog",
    "16": "WalkTogether",
}  # fmt: skip
"""How the .json files number the actions of Human3.6M."""

_FITS = ("smpl_param", "SMPL_NeuralAnnot")
"""Two releases of the same form: SMPLify-X on some frames, NeuralAnnot on all; the first that is there is taken."""
_PARAMETERS = {"pose": 72, "shape": NUM_BETAS, "trans": 3}
_BATCH = 256  # bodies posed at once: 21 MB of vertices
_MAX_FILE_BYTES = 4 * 2**30  # the largest of the releases has some 100 MB
_SAME_TAKE = 0.001  # metres: files that round to millimetres still agree, neighbouring frames of a moving person do not
# Knees, ankles, elbows and wrists are nearly the same points in both skeletons: what a coarse check can go by.
_LIMBS = (2, 3, 5, 6, 11, 12, 14, 15)  # of the sixteen
_COARSE_ERROR = 0.075  # metres: 25 mm, and what the two skeletons differ by


def find_fits(folder: str | Path) -> dict[str, tuple[Path, Path]]:
    """{subject: (its joints, its fits)}: `Human36M_subject{N}_joint_3d.json` and `..._smpl_param.json` of a folder.

    Raises:
        DuaError: the folder holds no fits, or fits without joints.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DuaError(f"{folder} is no folder; name the one that holds Human36M_subject1_smpl_param.json and so on")
    found = {}
    for subject in SUBJECTS:
        stem = f"Human36M_subject{subject.removeprefix('S')}"
        fits = next((path for kind in _FITS if (path := folder / f"{stem}_{kind}.json").exists()), None)
        if fits is None:
            continue
        joints = folder / f"{stem}_joint_3d.json"
        if not joints.exists():
            raise DuaError(f"{joints} does not exist; it belongs to {fits.name} and tells the takes apart: get it as well")
        found[subject] = (joints, fits)
    if not found:
        raise DuaError(f"{folder} holds no Human36M_subject*_smpl_param.json; name the folder that holds them (data/README.md)")
    return found


def read_fits(
    folder: str | Path,
    h36m: Mapping[str, Mapping[str, Any]],
    body: BodyModel,
    regressor: np.ndarray | None = None,
    max_error_mm: float = MAX_ERROR_MM,
) -> Fits:
    """Pose SMPL with the fits in `folder` and leave out the bad ones.

    How the files number the two takes of an action differs between subjects. The take that a number means is the one
    whose joints are those that lie beside the fits; so it is also known that frames are counted alike.

    Args:
        h36m: `positions_3d` of `data_3d_h36m.npz`, the (T, 32, 3) world metres that the fits are compared with.
        body: poses SMPL, see `common.preparation.smpl_model.load_body_model`.
        regressor: (17, V) from SMPL's vertices to Human3.6M's joints. With it a fit is good if the 17 joints, brought
            to the same mean, lie within `max_error_mm` in the mean. Without it only gross misfits are found, by eight joints
            of the limbs.

    Raises:
        DuaError: a file is missing or damaged, its joints are not those of `h36m`, or no fit is usable.
    """
    fits = Fits()
    for subject, (joints_file, fits_file) in find_fits(folder).items():
        if subject not in h36m:
            fits.skipped.append(f"{subject} (all)")
            continue
        takes = {action: check_h36m(world, f"data_3d_h36m.npz: {subject} {action}") for action, world in h36m[subject].items()}
        posed, unknown = _read_subject(joints_file, fits_file, takes, body, regressor, max_error_mm / 1000)
        fits.skipped += [f"{subject} {sequence}" for sequence in unknown]
        for action, world in takes.items():
            fits.add(subject, action, *posed.get(action, (without_fit(len(world)), 0)))
    return checked(fits, h36m, str(folder))


def _read_subject(
    joints_file: Path,
    fits_file: Path,
    takes: Mapping[str, np.ndarray],
    body: BodyModel,
    regressor: np.ndarray | None,
    max_error: float,
) -> tuple[dict[str, tuple[np.ndarray, int]], list[str]]:
    """{action: ((T, 24, 3), fits left out)} of the takes that have fits, and which sequences `takes` lacks."""
    recorded, fits = read_json(joints_file), read_json(fits_file)
    sequences = [
        (number, part, frames)
        for number, parts in fits.items()
        for part, frames in _object(parts, f"{fits_file}: action {number}").items()
        if _object(frames, f"{fits_file}: action {number}, subaction {part}")
    ]
    posed: dict[str, tuple[np.ndarray, int]] = {}
    unknown = []
    with tqdm(sequences, desc=fits_file.stem, unit="sequence", disable=None) as bar:
        for number, part, frames in bar:
            where, beside = (f"{file}: action {number}, subaction {part}" for file in (fits_file, joints_file))
            if number not in ACTIONS:
                raise DuaError(f"{where}: there is no such action, they are 2 to 16; get the file again")
            try:
                joints = recorded[number][part]
            except (KeyError, TypeError):
                raise DuaError(f"{beside} is missing, but {fits_file.name} has fits of it; get both again") from None
            same_action = {name: world for name, world in takes.items() if base_action(canonical_action(name)) == ACTIONS[number]}
            found = _find_take(joints, same_action, beside)
            if found is None:
                unknown.append(f"{ACTIONS[number]} (subaction {part})")
                continue
            action, first = found
            if action in posed:
                raise DuaError(f"{beside} is '{action}', as another subaction is; get {joints_file.name} again")
            rows = _frame_numbers(frames, where) - first
            if rows.min() < 0 or rows.max() >= len(takes[action]):
                raise DuaError(f"{where} has frames that '{action}' lacks: it has {len(takes[action])}; get the file again")
            parameters = {key: _parameter(frames, key, size, where) for key, size in _PARAMETERS.items()}
            posed[action] = _pose(parameters, rows, takes[action], body, regressor, max_error)
    return posed, unknown


def _find_take(recorded: Any, takes: Mapping[str, np.ndarray], where: str) -> tuple[str, int] | None:
    """Which take the joints of one sequence are, and the number of its first frame; None if `takes` may well lack it.

    Args:
        recorded: {frame: (17, 3) world millimetres}, of all frames or some.
        takes: {action: (T, 32, 3) world metres} of the same action's takes.
    """
    numbers = _frame_numbers(_object(recorded, where), where)
    joints = _numbers(recorded.values(), len(H36M_32_TO_17) * 3, f"{where}: joints")
    joints = joints.reshape(len(numbers), -1, 3) / 1000
    check_finite(joints, where)
    nearest: tuple[float, str, int] | None = None
    for action, world in takes.items():
        for first in (0, 1):  # frames may be counted from either
            rows = numbers - first
            if rows.min() < 0 or rows.max() >= len(world):
                continue
            apart = np.linalg.norm(world[rows][:, list(H36M_32_TO_17)] - joints, axis=-1).max()
            if nearest is None or apart < nearest[0]:
                nearest = (float(apart), action, first)
    if nearest is not None and nearest[0] < _SAME_TAKE:
        return nearest[1:]
    if len(takes) < 2:  # Human3.6M has two takes of each action; S11's corrupt one is in no 3D file
        return None
    difference = f"the nearest, '{nearest[1]}', differs by {nearest[0] * 1000:.1f} mm" if nearest else "both are shorter"
    raise DuaError(
        f"{where} is neither take in data_3d_h36m.npz ({', '.join(takes)}): {difference}; the two do not belong together, make "
        "data_3d_h36m.npz with data/prepare_data_h36m.py"
    )


def _pose(
    parameters: Mapping[str, np.ndarray],
    rows: np.ndarray,
    world: np.ndarray,
    body: BodyModel,
    regressor: np.ndarray | None,
    max_error: float,
) -> tuple[np.ndarray, int]:
    """(T, 24, 3) joints of the good fits, NaN elsewhere, and how many fits were left out."""
    joints = without_fit(len(world))
    for start in range(0, len(rows), _BATCH):
        batch = slice(start, start + _BATCH)
        posed, vertices = body(*(parameters[key][batch] for key in _PARAMETERS))
        seen = world[rows[batch]].astype(np.float64)
        good = fit_errors(seen, posed, vertices, regressor) <= (_COARSE_ERROR if regressor is None else max_error)
        good &= np.isfinite(posed).all(axis=(1, 2))
        joints[rows[batch][good]] = posed[good]
    return joints, len(rows) - int(np.sum(has_fit(joints)))


def fit_errors(world: np.ndarray, joints: np.ndarray, vertices: np.ndarray, regressor: np.ndarray | None) -> np.ndarray:
    """(B,) metres: the mean distance between recorded joints and a fit's, once both have the same mean.

    Args:
        world: (B, 32, 3) as recorded.
        joints: (B, 24, 3) of SMPL.
        vertices: (B, V, 3) of SMPL.
        regressor: (17, V), or None to compare eight joints of the limbs alone.
    """
    if regressor is not None:
        recorded = world[:, list(H36M_32_TO_17)]
        fitted = np.einsum("jv,bva->bja", regressor, vertices, optimize=True)
    else:
        recorded = world[:, list(H36M_32_TO_16)][:, list(_LIMBS)]
        fitted = joints[:, list(SMPL_24_TO_16)][:, list(_LIMBS)]
    with np.errstate(invalid="ignore"):  # a fit that is not finite has no error
        recorded, fitted = (points - points.mean(axis=1, keepdims=True) for points in (recorded, fitted))
        return np.linalg.norm(recorded - fitted, axis=-1).mean(axis=1)


def read_json(path: Path) -> dict[str, Any]:
    """The object that a .json file holds. Raises a `DuaError` of one line for whatever is wrong with it."""
    require_file(path)
    try:
        size = path.stat().st_size
        if size > _MAX_FILE_BYTES:
            raise DuaError(f"{path} is {size} bytes, {_MAX_FILE_BYTES} are the most that is read; get it again")
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except MemoryError as error:
        raise DuaError(f"{path} does not fit into memory; ten times its size is needed") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DuaError(f"{path} is damaged, cut off or no .json file ({short_reason(error)}); get it again") from error
    return _object(content, str(path))


def _object(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise DuaError(f"{where} holds a {type(content).__name__}, {{action: {{subaction: {{frame: ...}}}}}} was expected")
    return content


def _frame_numbers(frames: Mapping[str, Any], where: str) -> np.ndarray:
    """(F,) the numbers that name the frames, in their order."""
    wrong = [name for name in frames if not (name.isascii() and name.isdigit() and len(name) < 10)]
    if wrong or not frames:
        raise DuaError(
            f"{where} has {f'a frame {wrong[0][:40]!r}' if wrong else 'no frames'}, numbers were expected; get it again"
        )
    return np.array([int(name) for name in frames])


def _parameter(frames: Mapping[str, Any], key: str, size: int, where: str) -> np.ndarray:
    """(F, size) of one SMPL parameter."""
    for frame, fit in frames.items():
        if key not in _object(fit, f"{where}, frame {frame}"):
            raise DuaError(f"{where}, frame {frame} has no '{key}'; {', '.join(_PARAMETERS)} were expected, get the file again")
    return _numbers([fit[key] for fit in frames.values()], size, f"{where}: {key}")


def _numbers(values: Any, size: int, where: str) -> np.ndarray:
    """(F, size) float64 of F lists, nested or not, of `size` numbers each."""
    values = list(values)
    try:
        array = np.array(values)
    except ValueError:  # lists of unequal lengths
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "fiu" or array.size != len(values) * size:
        raise DuaError(f"{where} is not {size} numbers in every frame; get the file again")
    return array.reshape(len(values), size).astype(np.float64)
