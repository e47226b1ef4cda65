"""How well people are placed before the camera, and what smoothing in time is worth, on data with known places.

    python main_prob.py --data_dir data/demo --schedule fast --initial published --dropout 0.5 --batch_size 512 --lr 8e-3 --epochs 6 \\
        --checkpoint checkpoint/demo
    python benchmarks/trajectory.py checkpoint/demo --data_dir data/demo --out benchmarks/results_trajectory

Writes four tables, as .csv, and prints them:

    poses       filters of poses on clips of training and validation, in a detector's view: what --smooth was chosen by
    roots       the same of places, by how long the windows are of their direction and of their distance
    smoothing   poses of the test (S9, S11) before and after --smooth, on exact 2D and in a detector's view
    trajectory  places of the hip in the test, of --trajectory, by true and by predicted poses, with the cameras' focal length and
                with the one that is assumed without

A detector's view is the exact 2D with errors that are Gaussian in time (half of their variance, 0.1 s of memory) and Student's t with
four degrees of freedom from frame to frame (the other half), 0.4 times COCO's OKS constants of the person's size. Errors of places
are told apart along the ray from the camera and across it. Acceleration errors are the mean length of the difference of second
differences, in mm/frame^2. Focal lengths are as a user gives them: the principal point is taken for the picture's middle and lenses
for undistorted.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import numpy as np
from scipy.signal import lfilter, savgol_filter
from tqdm import tqdm

from common.datasets.clips import frame_rate
from common.datasets.h36m import TEST_SUBJECTS, load_h36m
from common.datasets.views import camera_of
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text
from common.geometry.camera import image_coordinates
from common.geometry.skeleton import JOINT_NAMES
from common.mocap.demo import build_demo_if_missing
from common.prediction.lens import ASSUMED_FOV
from common.prediction.predictor import Prediction, Predictor
from common.prediction.smoothing import smooth, smooth_roots
from common.prediction.trajectory import along_and_across, roots_in_camera

OKS = {"Head": 0.025, "Shoulder": 0.079, "Elbow": 0.072, "Wrist": 0.062, "Hip": 0.107, "Knee": 0.087, "Foot": 0.089}
"""COCO's constants: standard deviations of what annotators mark, in roots of the person's area (Ronchi and Perona, ICCV 2017)."""
_SHARE, _MEMORY, _TAILS = 0.4, 0.1, 4
_CHOICE_SUBJECTS = ("S1", "S8")
"""Of those that the demo trains on; their clips are of training and of validation."""

_EVERY = 5
"""Of whose clips one in so many is taken: of all actions and all cameras."""

Filter = Callable[[np.ndarray, float], np.ndarray]
"""(T, ...) values and their rate to (T, ...)."""

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Columns and rows."""


@dataclass(frozen=True)
class Take:
    """A clip before one camera: (T, 16, 2) pixels, (T, 16, 3) poses and (T, 3) roots in metres."""

    pixels: np.ndarray
    poses_3d: np.ndarray
    roots_3d: np.ndarray
    image_size: tuple[int, int]
    focal_length: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="of a lifting network: a run folder, a folder of runs, or a file")
    parser.add_argument("--data_dir", default="data/demo", help="folder with Human3.6M's files (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for the tables (default: they are only printed)")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N clips of each set alone, to try it")
    args = parser.parse_args()
    build_demo_if_missing(args.data_dir)
    predictor = Predictor.load(args.checkpoint, "cpu")
    fps = frame_rate(args.data_dir, "h36m")
    seen = takes(args.data_dir, _CHOICE_SUBJECTS)[::_EVERY][: args.limit]
    tested = takes(args.data_dir, TEST_SUBJECTS)[: args.limit]
    for name, make, clips in (
        ("poses", chosen_poses, seen),
        ("roots", chosen_roots, seen),
        ("smoothing", smoothing, tested),
        ("trajectory", trajectory, tested),
    ):
        columns, rows = make(predictor, clips, fps)
        print(f"{name}\n{as_text(columns, rows)}\n", flush=True)
        if args.out:
            write_text(args.out / f"{name}.csv", as_csv(columns, rows))


def takes(data_dir: str, subjects: tuple[str, ...]) -> list[Take]:
    poses = load_h36m(data_dir, "gt", subjects)
    assert poses.roots_3d is not None
    found = []
    for sequence in poses.sequences:
        rows, camera = slice(sequence.start, sequence.stop), camera_of(sequence)
        pixels = image_coordinates(poses.inputs_2d[rows].double().numpy(), *sequence.resolution)
        labels = poses.targets_3d[rows].double().numpy(), poses.roots_3d[rows].double().numpy()
        found.append(Take(pixels, *labels, sequence.resolution, float(np.mean(camera.focal_length))))
    return found


def detectors_view(take: Take, fps: float, rng: np.random.Generator) -> Take:
    """The same clip with a detector's errors; what detectors do not find, hip, thorax and spine, is between what they find."""
    share = np.array([next((oks for part, oks in OKS.items() if name.endswith(part)), 0.0) for name in JOINT_NAMES])
    size = np.sqrt(np.prod(np.ptp(take.pixels, axis=1), axis=1))  # (T,)
    keep = np.exp(-1 / (fps * _MEMORY))
    shape = take.pixels.shape
    white = rng.normal(size=(round(5 * fps * _MEMORY) + len(size), *shape[1:]))  # it begins before the clip
    lasting = lfilter([np.sqrt(1 - keep**2)], [1, -keep], white, axis=0)[-len(size) :]
    sudden = rng.standard_t(_TAILS, shape) / np.sqrt(_TAILS / (_TAILS - 2))
    errors = (lasting + sudden) / np.sqrt(2) * _SHARE * share[:, None] * size[:, None, None]
    at = JOINT_NAMES.index
    errors[:, at("Hip")] = (errors[:, at("LHip")] + errors[:, at("RHip")]) / 2
    errors[:, at("Thorax")] = (errors[:, at("LShoulder")] + errors[:, at("RShoulder")]) / 2
    errors[:, at("Spine")] = (errors[:, at("Hip")] + errors[:, at("Thorax")]) / 2
    return replace(take, pixels=take.pixels + errors)


def in_detectors_view(clips: list[Take], fps: float) -> list[Take]:
    rng = np.random.default_rng(0)
    return [detectors_view(take, fps, rng) for take in clips]


def predictions(predictor: Predictor, clips: list[Take], fps: float, known: bool = True) -> Iterator[tuple[Take, Prediction]]:
    """Each clip as the network lifts it, with the camera's focal length or, if not `known`, the assumed one."""
    for take in tqdm(clips, "lifting", leave=False, disable=None):
        yield take, predictor(take.pixels, take.image_size, fps=fps, focal_length=take.focal_length if known else None)


def acceleration_error(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """mm/frame^2 of (T, ..., 3) metres: one number a frame and joint, but for the first frame and the last."""
    return 1000 * np.linalg.norm(np.diff(values - truth, 2, axis=0), axis=-1)


# --- the filters that were tried ------------------------------------------------------------------------------------


def savitzky_golay(window: float, order: int) -> Filter:
    def filtered(values: np.ndarray, fps: float) -> np.ndarray:
        width = 2 * round(window * fps / 2) + 1
        return savgol_filter(values, min(width, len(values) - (len(values) + 1) % 2), order, axis=0)

    return filtered


def one_euro(slowest: float, beta: float) -> Filter:
    """Casiez et al., CHI 2012: a low-pass of first order whose cut-off grows with speed (Hz, Hz s/m); the derivative's is 1 Hz."""

    def share(cutoff: np.ndarray | float, fps: float) -> np.ndarray | float:
        return 1 / (1 + fps / (2 * np.pi * cutoff))

    def filtered(values: np.ndarray, fps: float) -> np.ndarray:
        smoothed, speed = values.copy(), np.zeros_like(values[0])
        for i in range(1, len(values)):
            speed = speed + share(1.0, fps) * ((values[i] - values[i - 1]) * fps - speed)
            size = np.linalg.norm(speed, axis=-1, keepdims=True)
            smoothed[i] = smoothed[i - 1] + share(slowest + beta * size, fps) * (values[i] - smoothed[i - 1])
        return smoothed

    return filtered


FILTERS: dict[tuple[str, str], Filter] = {
    ("none", ""): lambda values, fps: values,
    **{
        ("Savitzky-Golay", f"order {order}, {window:g} s"): savitzky_golay(window, order)
        for order in (2, 3)
        for window in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
    },
    **{
        ("One Euro", f"{slowest:g} Hz, beta {beta:g}"): one_euro(slowest, beta)
        for slowest in (0.5, 1.0, 2.0, 4.0)
        for beta in (0.0, 1.0, 5.0)
    },
}


def chosen_poses(predictor: Predictor, clips: list[Take], fps: float) -> Table:
    found: dict[tuple[str, str], list[list[np.ndarray]]] = {name: [[], []] for name in FILTERS}
    for take, predicted in predictions(predictor, in_detectors_view(clips, fps), fps):
        poses_3d = predicted.poses_3d.astype(np.float64)
        for name, filtered in FILTERS.items():
            smoothed = filtered(poses_3d, fps)
            found[name][0].append(1000 * np.linalg.norm(smoothed - take.poses_3d, axis=-1).ravel())
            found[name][1].append(acceleration_error(smoothed, take.poses_3d).ravel())
    columns = ("filter", "setting", "MPJPE, mm", "acceleration error, mm/frame^2")
    return columns, [(*name, *(_mean(part) for part in parts)) for name, parts in found.items()]


def chosen_roots(predictor: Predictor, clips: list[Take], fps: float) -> Table:
    windows = [(direction, distance) for direction in (0.0, 0.1, 0.2, 0.3, 0.5) for distance in (0.0, 0.3, 0.5, 0.7, 1.0, 1.5)]
    found: dict[tuple[float, float], list[list[np.ndarray]]] = {pair: [[], [], []] for pair in windows}
    for take, predicted in predictions(predictor, in_detectors_view(clips, fps), fps):
        poses_3d = smooth(predicted.poses_3d, np.arange(len(predicted)), fps)
        roots = roots_in_camera(poses_3d, predicted.keypoints_2d, take.image_size, take.focal_length, predicted.missing)
        for pair in windows:
            path = smooth_roots(roots, np.arange(len(predicted)), fps, *pair)
            along, across = along_and_across(path - take.roots_3d, take.roots_3d)
            found[pair][0].append(1000 * along)
            found[pair][1].append(1000 * across)
            found[pair][2].append(acceleration_error(path, take.roots_3d))
    columns = ("direction, s", "distance, s", "along the ray, mm", "across it, mm", "acceleration error, mm/frame^2")
    return columns, [(*(f"{window:g}" for window in pair), *(_mean(part) for part in parts)) for pair, parts in found.items()]


# --- the test -------------------------------------------------------------------------------------------------------


def smoothing(predictor: Predictor, clips: list[Take], fps: float) -> Table:
    rows = []
    for view, seen in (("exact", clips), ("a detector's", in_detectors_view(clips, fps))):
        found: dict[str, list[list[np.ndarray]]] = {"no": [[], []], "yes": [[], []]}
        for take, predicted in predictions(predictor, seen, fps):
            for name, poses_3d in (
                ("no", predicted.poses_3d),
                ("yes", smooth(predicted.poses_3d, np.arange(len(predicted)), fps)),
            ):
                found[name][0].append(1000 * np.linalg.norm(poses_3d - take.poses_3d, axis=-1).ravel())
                found[name][1].append(acceleration_error(poses_3d, take.poses_3d).ravel())
        rows += [(view, name, *(_mean(part) for part in parts)) for name, parts in found.items()]
    return ("2D", "smoothed", "MPJPE, mm", "acceleration error, mm/frame^2"), rows


def trajectory(predictor: Predictor, clips: list[Take], fps: float) -> Table:
    rows = []
    noisy = in_detectors_view(clips, fps)
    for view, seen in (("exact", clips), ("a detector's", noisy)):
        for lens in ("the camera's", f"{ASSUMED_FOV:g} degrees"):
            found: dict[tuple[str, str], list[list[np.ndarray]]] = {}
            for take, predicted in predictions(predictor, seen, fps, lens == "the camera's"):
                frames = np.arange(len(predicted))
                for kind, poses_3d in (("true", take.poses_3d), ("predicted", predicted.poses_3d)):
                    raw = roots_in_camera(
                        poses_3d, predicted.keypoints_2d, take.image_size, predicted.focal_length, predicted.missing
                    )
                    for name, path in (("no", raw), ("yes", smooth_roots(raw, frames, fps))):
                        along, across = along_and_across(path - take.roots_3d, take.roots_3d)
                        kept = found.setdefault((kind, name), [[], [], []])
                        for parts, part in zip(
                            kept, (1000 * along, 1000 * across, acceleration_error(path, take.roots_3d)), strict=True
                        ):
                            parts.append(part)
            rows += [(view, lens, *which, *(_mean(part) for part in parts)) for which, parts in found.items()]
    return (
        "2D",
        "focal length",
        "poses",
        "smoothed",
        "along the ray, mm",
        "across it, mm",
        "acceleration error, mm/frame^2",
    ), rows


def _mean(parts: list[np.ndarray]) -> str:
    return f"{np.concatenate(parts).mean():.1f}"


if __name__ == "__main__":
    run_script(main)
