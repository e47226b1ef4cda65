"""The open weights, made anew: from motion capture to `checkpoint/open/`, with a card for each network.

    python benchmarks/open_weights.py cmu_mb_01_09.zip data/demo/motion.h5 --held_out 06 08 --test bandai_namco_1.zip bandai_namco_2.zip
    python benchmarks/open_weights.py --pack     # what was trained already, packed and judged once more

Builds `data/people` (and `data/people_test`, other people, who are tested on alone), trains both networks by `train_open.py`, packs
their best epochs as `checkpoint/open/NETWORK.safetensors`, and judges what was packed: on the people who were held out, who chose the
epoch and calibrated the uncertainty, on the test's people, and on the real man of `benchmarks/real_people.py`. NETWORK.json beside the
weights is their card; `benchmarks/results_open/` has the tables. What is done is left, what was cut off goes on. Some three hours of one core.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import numpy as np
import torch

from benchmarks.kept import beside_others
from benchmarks.real_clip import load_clip
from benchmarks.real_people import rows_of
from benchmarks.real_table import AS_THEY_ARE, CONVERTED
from benchmarks.runs import finished_run, one_run
from common.compute.device import choose_device
from common.errors import DuaError
from common.evaluation.evaluate import lift, network_inputs
from common.evaluation.metrics import joint_errors, mpjpe, n_mpjpe, p_mpjpe
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text
from common.geometry.skeleton import JOINT_NAMES
from common.mocap.filming import films
from common.mocap.people import load_people, path_people
from common.prediction.lifter import Lifter
from common.predictor import Predictor
from common.training.checkpoint import BEST, load_checkpoint
from common.training.open_weights import FOLDER, SUFFIX, size_of, write_open_weights

NETWORKS: dict[str, tuple[str, ...]] = {
    "martinez": (
        "--hid_dim",
        "512",
        "--dropout",
        "0",
        "--batch_size",
        "512",
        "--lr",
        "8e-3",
        "--initial",
        "published",
        "--epochs",
        "150",
    ),
    "semgcn": (
        "--network",
        "semgcn",
        "--batch_size",
        "128",
        "--lr",
        "8e-3",
        "--lr_fall",
        "cosine",
        "--initial",
        "published",
        "--epochs",
        "30",
    ),
}
"""Options of `train_open.py`, with what the fast schedule stood for then. Narrower than the paper's Martinez, which in the same hours makes a
fourth of the steps and ends worse."""
PEOPLE, TESTED = ROOT / "data" / "people", ROOT / "data" / "people_test"
RUNS, OUT = ROOT / "checkpoint" / "open_runs", ROOT / "benchmarks" / "results_open"
LICENCE = "Apache-2.0, as the project"
DATA = (
    "CMU Graphics Lab Motion Capture Database, subjects 01 02 03 05 07 09 (06 and 08 held out) in B. Hahne's BVH conversion (free for "
    "all uses; mocap.cs.cmu.edu, created with funding from NSF EIA-0196217), and the demo's clips (pybullet, zlib licence)"
)
NOT_FOR = (
    "people who are mostly hidden or cut off by the picture; children; lenses wider than 90 degrees; absolute size and distance, which a single "
    "picture does not show; medical or safety decisions"
)
COLUMNS = ("network", "people", "lens", "MPJPE", "P-MPJPE", "N-MPJPE", "held %", "radius", "poses")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, metavar="FOLDER_OR_ZIP", help="motion capture to learn from")
    parser.add_argument(
        "--held_out", nargs="*", default=[], metavar="NAME", help="people who choose the epoch (default: a tenth of the clips)"
    )
    parser.add_argument(
        "--test", nargs="*", default=[], type=Path, metavar="FOLDER_OR_ZIP", help="motion capture of others, to test on"
    )
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="(default: both)")
    parser.add_argument("--pack", action="store_true", help="build and train nothing")
    args = parser.parse_args()
    if not args.pack:
        if not args.sources and not path_people(PEOPLE).exists():
            raise DuaError("FOLDER_OR_ZIP is needed: motion capture to learn from; or --pack, to pack what was trained")
        _build(PEOPLE, args.sources, ("--held_out", *args.held_out) if args.held_out else ())
        _build(TESTED, args.test, ("--bodies", "1"))
    rows: list[Sequence[str]] = []
    by_joint: list[Sequence[str]] = []
    for network in args.networks:
        run = _trained(network, args.pack)
        weights = FOLDER / f"{network}{SUFFIX}"
        checkpoint = load_checkpoint(run / BEST)
        write_open_weights(weights, checkpoint)
        predictor = Predictor.load(weights, "cpu")
        errors, joints = judged(network, predictor.lifter)
        rows += errors
        by_joint += joints
        write_text(
            FOLDER / f"{network}.json", json.dumps(card(network, run, checkpoint, weights, errors, predictor), indent=1) + "\n"
        )
        print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")
    print(as_text(COLUMNS, rows))
    for name, columns, made in (("errors", COLUMNS, rows), ("by_joint", ("network", "people", *JOINT_NAMES), by_joint)):
        path = OUT / f"{name}.csv"
        write_text(path, as_csv(columns, beside_others(path, columns, made)))


def _build(folder: Path, sources: Sequence[Path], options: Sequence[str]) -> None:
    if sources and not path_people(folder).exists():
        command = [sys.executable, "data/prepare_data_people.py", *map(str, sources), *options, "--out", str(folder)]
        if subprocess.run(command, cwd=ROOT).returncode:
            raise DuaError(f"{folder} was not built, see above")


def _trained(network: str, done: bool) -> Path:
    """The run folder of a network; trains it unless it is, or is to be, done."""
    folder = RUNS / network
    if not done:
        command = ["train_open.py", "--data_dir", str(PEOPLE), "--device", "cpu", *NETWORKS[network]]
        return one_run(command, folder, "results.json")
    run = finished_run(folder, "results.json")
    if run is None:
        raise DuaError(f"{folder} holds no finished run of {network}; train it, without --pack")
    return run


def judged(network: str, lifter: Lifter) -> tuple[list[Sequence[str]], list[Sequence[str]]]:
    """Rows of `COLUMNS`, and of errors by joint (lens known), before any camera in a detector's view."""
    rows: list[Sequence[str]] = []
    joints: list[Sequence[str]] = []
    tested = {"held out (chose the epoch)": load_people(PEOPLE).select(("validation",))}
    if path_people(TESTED).exists():
        tested["others, never trained on"] = load_people(TESTED)
    calibration, device = lifter.calibration, choose_device("cpu")
    assert calibration is not None, "train_open.py calibrates"
    for name, people in tested.items():
        for lens, known in (("known", True), ("assumed", False)):
            poses = films(people, seed=0, lens_known=known)
            predicted, uncertainty = lift(lifter.networks, poses, device, test_time=lifter.test_time)
            assert uncertainty is not None
            targets, each = poses.targets_3d, joint_errors(predicted, poses.targets_3d) * 1000
            inputs = network_inputs(poses, lifter.test_time)[0]
            clips = [slice(sequence.start, sequence.stop) for sequence in poses.sequences]
            radii = torch.cat([calibration.radii(uncertainty[of], predicted[of], inputs[of]) for of in clips])
            figures = (float(of(predicted, targets).mean()) * 1000 for of in (mpjpe, p_mpjpe, n_mpjpe))
            held = float((each <= radii)[:, 1:].float().mean()) * 100
            cells = (
                *(f"{value:.1f}" for value in figures),
                f"{held:.1f}",
                f"{float(radii[:, 1:].median()):.0f}",
                f"{len(poses)}",
            )
            rows.append((network, name, lens, *cells))
            if known:
                joints.append((network, name, *(f"{value:.0f}" for value in each.mean(0).tolist())))
    return rows, joints


def card(
    network: str, run: Path, checkpoint: dict[str, Any], weights: Path, errors: Sequence[Sequence[str]], predictor: Predictor
) -> dict[str, Any]:
    """What a user has to know of a file of weights."""
    clip = load_clip()
    real = {}
    for row in rows_of(clip, network, predictor):
        if row.definition in (AS_THEY_ARE, CONVERTED):
            by_camera = [round(error.p_mpjpe, 1) for error in row.errors]
            figures = {"P-MPJPE": lambda e: e.p_mpjpe, "N-MPJPE": lambda e: e.n_mpjpe, "MPJPE": lambda e: e.mpjpe}
            held = np.mean([error.held_all for error in row.errors if error.held_all is not None])
            real[f"{row.definition}, {row.focal_length} focal length"] = {
                **{name: round(row.mean(of), 1) for name, of in figures.items()},
                "P-MPJPE by camera": by_camera,
                "held by 90 % radii, %": round(float(held) * 100, 1),
            }
    return {
        "name": network,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "parameters": size_of(checkpoint),
        "licence": LICENCE,
        "data": DATA,
        "command": checkpoint["command"],
        "run": run.name,
        "commit": _commit(),
        "versions": checkpoint["versions"],
        "epoch": checkpoint["training"]["epoch"],
        "hours_on_one_core": _hours(run),
        "inputs": "COCO's keypoints made ours by common.geometry.joint_orders, pixels; the rest is done by common.predictor",
        "outputs": "sixteen joints of Human3.6M's definition, metres from the hip, camera axes; the estimator's relative error",
        "errors_mm": [dict(zip(COLUMNS, row, strict=True)) for row in errors],
        "real_man": real,
        "not_good_for": NOT_FOR,
    }


def _hours(run: Path) -> float:
    """Of training, by the log: poses over poses a second, validation left out."""
    lines = (run / "log.csv").read_text().splitlines()
    columns = lines[0].split(",")
    step, rate = columns.index("step"), columns.index("poses_per_s")
    batch = json.loads((run / "config.json").read_text())["arguments"]["batch_size"]
    seconds, before = 0.0, 0
    for line in lines[1:]:
        cells = line.split(",")
        seconds += (int(cells[step]) - before) * batch / float(cells[rate])
        before = int(cells[step])
    return round(seconds / 3600, 2)


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    run_script(main)
