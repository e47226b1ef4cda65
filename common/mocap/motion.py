"""Human movement as rotations of body parts, before it is given a body: reading, resampling, mirroring, mixing.

Every part has axes x forward, y up, z to the person's right when the person stands upright with hanging arms; a motion
holds the rotation of each part against its parent part, so that any body can be posed with it (`common.mocap.body`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.errors import DuaError
from common.files.arrays import require_file

PART_PARENTS = {
    "pelvis": None,
    "chest": "pelvis",
    "head": "chest",
    "r_thigh": "pelvis",
    "r_shin": "r_thigh",
    "r_foot": "r_shin",
    "r_upper_arm": "chest",
    "r_forearm": "r_upper_arm",
    "l_thigh": "pelvis",
    "l_shin": "l_thigh",
    "l_foot": "l_shin",
    "l_upper_arm": "chest",
    "l_forearm": "l_upper_arm",
}
PARTS = tuple(PART_PARENTS)
UPPER_BODY = tuple(PARTS.index(part) for part in PARTS if part in ("chest", "head") or part.endswith("arm"))
_MIRRORED_PARTS = [
    PARTS.index({"r_": "l_", "l_": "r_"}[part[:2]] + part[2:]) if part[1] == "_" else i for i, part in enumerate(PARTS)
]


@dataclass(frozen=True)
class Motion:
    """One clip.

    Attributes:
        name: the clip's name; what is mixed from two clips keeps both in `clips`.
        clips: names of the recordings that went in.
        root: (T, 3) place of the pelvis, in leg lengths, y up.
        rotations: (T, 13, 4) unit quaternions w x y z of `PARTS`, each against its parent (the pelvis against the world).
        fps: frames per second.
        action: what is done, as reports call it: 'Walk'; several clips can show one action.
    """

    name: str
    clips: tuple[str, ...]
    root: np.ndarray
    rotations: np.ndarray
    fps: float
    action: str = ""

    def __len__(self) -> int:
        return len(self.root)

    @property
    def duration(self) -> float:
        """Seconds from the first to the last frame."""
        return (len(self) - 1) / self.fps


# --- DeepMimic's file format: where the numbers of a frame stand (after the duration), and its skeleton's leg ---------
_DEEPMIMIC_QUATERNIONS = {
    "pelvis": 4, "chest": 8, "head": 12, "r_thigh": 16, "r_foot": 21, "r_upper_arm": 25, "l_thigh": 30, "l_foot": 35,
    "l_upper_arm": 39,
}  # fmt: skip
_DEEPMIMIC_HINGES = {"r_shin": 20, "r_forearm": 29, "l_shin": 34, "l_forearm": 43}
_DEEPMIMIC_LEG_LENGTH = (1.686184 + 1.639480) / 4
"""Hip to ankle in metres; the humanoid model is drawn four times as large as its motions."""


def load_deepmimic_clips(path: str | Path, fps: float) -> dict[str, Motion]:
    """The clips of `data/demo/motion.h5` (see `data/extract_demo_motion.py`), resampled to `fps`.

    Each data set of the file holds one clip, (T, 44): duration of the frame in seconds, root position, and rotations as
    quaternions w x y z or, for knees and elbows, hinge angles about z (the format of DeepMimic, Peng et al. 2018).

    Raises:
        DuaError: the file is missing or damaged, or a clip has another number of columns.
    """
    path = Path(path)
    require_file(path, "git checkout data/demo/motion.h5")
    from common.files.hdf5 import open_h5  # here, not above: scripts that do without it need not wait

    try:
        with open_h5(path, str(path)) as file:
            tables = {name: dataset[()].astype(np.float64) for name, dataset in file.items()}
    except (OSError, RuntimeError, KeyError) as error:
        raise DuaError(f"{path} is damaged ({error}); restore it with: git checkout {path}") from error
    clips = {}
    for name, table in tables.items():
        if table.ndim != 2 or table.shape[1] != 44 or len(table) < 2:
            raise DuaError(
                f"{path}: clip {name} has shape {table.shape}, (T, 44) was expected; restore the file with git checkout"
            )
        action = "".join(word.capitalize() for word in name.split("_"))
        clips[name] = replace(_from_deepmimic(name, table, fps), action=action)
    return clips


def _from_deepmimic(name: str, table: np.ndarray, fps: float) -> Motion:
    rotations = np.zeros((len(table), len(PARTS), 4))
    for part, column in _DEEPMIMIC_QUATERNIONS.items():
        rotations[:, PARTS.index(part)] = table[:, column : column + 4]
    for part, column in _DEEPMIMIC_HINGES.items():
        half = table[:, column] / 2
        rotations[:, PARTS.index(part), 0] = np.cos(half)
        rotations[:, PARTS.index(part), 3] = np.sin(half)
    rotations /= np.linalg.norm(rotations, axis=-1, keepdims=True)
    times = np.concatenate([[0], np.cumsum(table[:-1, 0])])
    keep = np.concatenate([[True], np.diff(times) > 0])  # a clip may repeat its first frame with no duration
    return _sample(name, (name,), times[keep], table[keep, 1:4] / _DEEPMIMIC_LEG_LENGTH, rotations[keep], fps, speed=1.0)


def resample(motion: Motion, fps: float, speed: float = 1.0) -> Motion:
    """The same movement at another frame rate, `speed` times as fast: slerp between rotations, linear for the root."""
    times = np.arange(len(motion)) / motion.fps
    sampled = _sample(motion.name, motion.clips, times, motion.root, motion.rotations, fps, speed)
    return replace(sampled, action=motion.action)


def frames_at(motion: Motion, fps: float, speed: float = 1.0) -> int:
    """How many frames `resample` gives."""
    return len(_wanted((len(motion) - 1) / motion.fps, fps, speed))


def mirror(motion: Motion) -> Motion:
    """Left and right exchanged: the movement seen in a mirror (reflection of z, the person's right)."""
    # S R S with S = diag(1, 1, -1) turns the rotation (w, x, y, z) into (w, -x, -y, z).
    rotations = motion.rotations[:, _MIRRORED_PARTS] * np.array([1, -1, -1, 1])
    return replace(motion, root=motion.root * np.array([1, 1, -1]), rotations=rotations)


def mix(lower: Motion, upper: Motion) -> Motion:
    """Pelvis and legs of one clip under the trunk, head and arms of another, which runs to and fro as long as needed."""
    there_and_back = np.concatenate([np.arange(len(upper)), np.arange(len(upper) - 2, 0, -1)])
    rows = there_and_back[np.arange(len(lower)) % len(there_and_back)]
    rotations = lower.rotations.copy()
    rotations[:, UPPER_BODY] = upper.rotations[rows][:, UPPER_BODY]
    return replace(lower, clips=lower.clips + upper.clips, rotations=rotations)


def _sample(
    name: str, clips: tuple[str, ...], times: np.ndarray, root: np.ndarray, rotations: np.ndarray, fps: float, speed: float
) -> Motion:
    """Sample the key frames at `times` (seconds, increasing) every 1 / fps seconds of a playback at `speed`."""
    wanted = _wanted(times[-1], fps, speed)
    before = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 2)
    weight = ((wanted - times[before]) / (times[before + 1] - times[before]))[:, None]  # (T', 1)
    sampled_root = root[before] * (1 - weight) + root[before + 1] * weight
    return Motion(name, clips, sampled_root, _slerp(rotations[before], rotations[before + 1], weight[:, :, None]), fps)


def _wanted(duration: float, fps: float, speed: float) -> np.ndarray:
    """When frames are taken, in seconds of the recording."""
    return np.arange(0, duration / speed + 1e-9, 1 / fps) * speed


def _slerp(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Spherical linear interpolation (Shoemake 1985) of unit quaternions (..., 4) along the shorter arc."""
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    angle = np.arccos(np.clip(np.abs(dot), 0, 1))
    sine = np.sin(angle)
    near = sine < 1e-6  # the arc's length is the chord's: interpolate linearly
    wa = np.where(near, 1 - weight, np.sin((1 - weight) * angle) / np.where(near, 1, sine))
    wb = np.where(near, weight, np.sin(weight * angle) / np.where(near, 1, sine))
    result = wa * a + wb * b
    return result / np.linalg.norm(result, axis=-1, keepdims=True)
