"""Networks on a real man before four calibrated cameras: is what they lift better than the 3D that the detector gives anyway?

    python benchmarks/real_people.py --checkpoint checkpoint/prob
    python benchmarks/real_people.py --checkpoint RUN_A RUN_B RUN_C --out benchmarks/results_real
    python benchmarks/real_people.py --checkpoint checkpoint/prob --time

Detections and calibration are in `benchmarks/real_people/` (numbers alone; NOTICE beside them), the reference is triangulated from them
(`benchmarks/real_clip.py`). Each network lifts them as `predict.py` would, without a focal length and with the true one; poses count as they are
and, where a checkpoint can turn them into the detector's definition of joints, so converted: the reference is in that. Errors are over
the hip and twelve joints of the limbs. Prints tables and the goals, and writes them beside CSV files and a picture of each network's poses
over the reference. The clip is for reports: nothing is to be tuned or chosen by it.
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import numpy as np

from benchmarks.real_clip import COCO, IN_POSE, Clip, errors_before, load_clip
from benchmarks.real_picture import draw
from benchmarks.real_table import (
    AS_THEY_ARE,
    ASSUMED,
    CONVERTED,
    OWN_3D,
    TRUE,
    Row,
    by_camera,
    by_joint,
    described,
    nearest,
    report,
    table,
    verdict,
)
from common.errors import DuaError
from common.evaluation.tables import as_csv
from common.files.writing import write_text
from common.prediction.bvh_writer import write_bvh
from common.prediction.predictor import Prediction
from common.prediction.smoothing import smooth
from common.predictor import Predictor

_THRESHOLD = 0.1
"""Joints of less visibility count as not seen; the reference asks for more."""
_SECONDS, _RATE, _TIMES, _FAST_ENOUGH = 10, 30, 5, 2.0  # frames a second; repetitions; seconds that are the goal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint", nargs="+", required=True, metavar="RUN", help="run folders, folders of runs for their newest, or files"
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    parser.add_argument("--time", action="store_true", help="also time lifting and writing a video of ten seconds")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results_real", help="for tables and pictures (default: %(default)s)"
    )
    args = parser.parse_args()
    names = names_of(args.checkpoint)
    clip = load_clip()
    rows = [judged(clip, OWN_3D, "-", AS_THEY_ARE, clip.own_3d)]
    times = []
    for name, checkpoint in zip(names, args.checkpoint, strict=True):
        predictor = Predictor.load(checkpoint, args.device)
        rows += rows_of(clip, name, predictor)
        if args.time:
            seconds = timed(clip, predictor)
            said = f"lifting {_SECONDS} s of video at {_RATE} Hz, smoothing and writing BVH: {seconds:.2f} s, less than {_FAST_ENOUGH:g} was the goal"
            times.append(f"{name}: {said}: {verdict(seconds < _FAST_ENOUGH)}")
    text = report(clip, rows, times)
    print(text, end="")
    write_text(args.out / "table.txt", text)
    for of in (table, by_camera, by_joint):
        write_text(args.out / f"{of.__name__}.csv", as_csv(*of(rows)))
    for name in names:
        shown = nearest([row for row in rows if row.name == name], CONVERTED, TRUE)
        stem = "poses_" + "".join(c if c.isalnum() or c in "+-." else "_" for c in name)
        draw(args.out / stem, clip, shown.poses_3d, f"{name}, poses {described(shown)}", [e.p_mpjpe for e in shown.errors])
    print(f"\n{args.out / 'table.txt'}")


def names_of(checkpoints: Sequence[str]) -> list[str]:
    """What rows are called: the checkpoints' folders, without what they share.

    Raises:
        DuaError: one is named twice.
    """
    paths = [Path(os.path.abspath(path)) for path in checkpoints]
    twice = next((str(given) for i, given in enumerate(checkpoints) if paths[i] in paths[:i]), None)
    if twice:
        raise DuaError(f"--checkpoint {twice}: it stands there twice; name each once")
    shared = Path(os.path.commonpath(paths)) if len(paths) > 1 else paths[0].parent
    # One may lie in another, which then has no name of its own.
    shared = shared.parent if shared in paths else shared
    return [path.relative_to(shared).as_posix() for path in paths]


def rows_of(clip: Clip, name: str, predictor: Predictor) -> list[Row]:
    """A checkpoint's rows. What the predictor says on stderr of a camera, it says once."""
    rows, said = [], io.StringIO()
    for focal_length in (ASSUMED, TRUE):
        with redirect_stderr(said):
            lifted = [lift(clip, predictor, camera, focal_length == TRUE) for camera in range(len(clip.cameras))]
        poses_3d = [prediction.poses_3d for prediction in lifted]
        radii = [prediction.radii_mm for prediction in lifted]
        rows.append(judged(clip, name, focal_length, AS_THEY_ARE, [poses[:, IN_POSE] for poses in poses_3d], radii))
        converted = [predictor.to_detector(poses) for poses in poses_3d]
        if all(poses is not None for poses in converted):
            rows.append(judged(clip, name, focal_length, CONVERTED, [poses[:, IN_POSE] for poses in converted], radii))
    for line in dict.fromkeys(said.getvalue().splitlines()):
        print(line, file=sys.stderr)
    return rows


def lift(clip: Clip, predictor: Predictor, camera: int, focal_length: bool) -> Prediction:
    """The clip before a camera, in COCO's joints, lifted with the camera's focal length or with none."""
    known = clip.cameras[camera].focal_length[0] if focal_length else None
    return predictor(
        clip.keypoints_2d[camera][:, COCO],
        clip.cameras[camera].resolution,
        skeleton="coco",
        confidences=clip.visibility[camera][:, COCO],
        threshold=_THRESHOLD,
        focal_length=known,
    )


def judged(
    clip: Clip,
    name: str,
    focal_length: str,
    definition: str,
    poses_3d: Sequence[np.ndarray] | np.ndarray,
    radii_mm: Sequence[np.ndarray | None] = (),
) -> Row:
    """A row of poses (T, 13, 3) before each camera, and radii (T, 16) where there are any."""
    radii = [None if of is None else of[:, IN_POSE] for of in radii_mm] or [None] * len(poses_3d)
    errors = tuple(errors_before(clip, camera, poses, radii[camera]) for camera, poses in enumerate(poses_3d))
    return Row(name, focal_length, definition, np.stack(poses_3d), errors)


def timed(clip: Clip, predictor: Predictor) -> float:
    """Seconds to lift a video of `_SECONDS`, smooth it and write it as BVH, beside the detector: median of `_TIMES`, after one that warms up."""
    frames = np.arange(_SECONDS * _RATE) % clip.keypoints_2d.shape[1]
    camera = clip.cameras[0]
    seconds = []
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        for _ in range(1 + _TIMES):
            started = time.perf_counter()
            prediction = predictor(
                clip.keypoints_2d[0, frames][:, COCO],
                camera.resolution,
                skeleton="coco",
                confidences=clip.visibility[0, frames][:, COCO],
                threshold=_THRESHOLD,
                focal_length=camera.focal_length[0],
                fps=_RATE,
            )
            write_bvh(Path(folder) / "poses.bvh", smooth(prediction.poses_3d, np.arange(len(prediction)), _RATE), _RATE)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


if __name__ == "__main__":
    run_script(main)
