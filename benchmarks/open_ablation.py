"""What each part of the open weights' recipe is worth: from a network for Human3.6M's cameras to one for any, step by step.

    python benchmarks/open_ablation.py --data_dir data/people --test_dir data/people_test --jobs 2

Each row trains `train_open.py` for the same number of steps with one more part of the recipe, and is tested on other people before any
camera in a detector's view, and on the real man of `benchmarks/real_people.py`, as it is and converted to the detector's definition. The last
row is the bound: the whole recipe, trained on the test's own clips but those that it holds out; `held` are those, on which rows "all of it"
and "bound" compare. Steps are few, so that the rows are cheap: errors are larger than those of the open weights. Runs that are done are
left, those that were cut off go on.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import statistics

from benchmarks.kept import beside_others
from benchmarks.open_weights import NETWORKS
from benchmarks.real_clip import load_clip
from benchmarks.real_people import rows_of
from benchmarks.real_table import AS_THEY_ARE, ASSUMED, CONVERTED, TRUE
from benchmarks.runs import in_a_path, one_run
from common.compute.device import choose_device
from common.errors import DuaError
from common.evaluation.evaluate import lift
from common.evaluation.metrics import mpjpe, p_mpjpe
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text
from common.mocap.filming import films
from common.mocap.people import load_people
from common.predictor import Predictor

_GROUND = ("--align", "--scale", "none")
ROWS: dict[str, tuple[str, ...]] = {
    "Human3.6M's joints and cameras": ("--keypoints", "gt", "--cameras", "h36m", *_GROUND),
    "+ any camera": ("--keypoints", "gt", "--roll", "0", *_GROUND),
    "+ roll": ("--keypoints", "gt", *_GROUND),
    "+ the detector's joints": ("--detector_noise", "0", *_GROUND),
    "+ its errors": _GROUND,
    "+ canonical": ("--scale", "none"),
    "+ one size: all of it": (),
}
BOUND = "bound: all of it, on the test's people"
BATCHES = {"martinez": 120, "semgcn": 80}
"""In each of ten epochs: some 1,200 steps of 512 poses, and 800 of 128."""
COLUMNS = ("network", "row", "MPJPE", "P-MPJPE", "P held", "real P", "real P converted", "real N converted", "real MPJPE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data_dir", type=Path, default=ROOT / "data" / "people", help="people to learn from (default: %(default)s)"
    )
    parser.add_argument(
        "--test_dir", type=Path, default=ROOT / "data" / "people_test", help="other people (default: %(default)s)"
    )
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="(default: both)")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results_open_ablation", help="(default: %(default)s)")
    args = parser.parse_args()
    if args.jobs < 1:
        raise DuaError(f"--jobs {args.jobs}: at least 1 is needed")
    tasks = [(network, row) for row in (*ROWS, BOUND) for network in args.networks]
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = dict(zip(tasks, pool.map(lambda task: trained(*task, args), tasks), strict=True))
    made = [judged(network, row, runs[network, row], args.test_dir) for network in args.networks for row in (*ROWS, BOUND)]
    rows = beside_others(args.out / "table.csv", COLUMNS, made)
    text = (
        "errors in mm on other people before any camera in a detector's view (lens known), and on a real man (focal length not known, "
        f"MPJPE with it)\n\n{as_text(COLUMNS, rows)}\n"
    )
    print(text)
    write_text(args.out / "table.txt", text)
    write_text(args.out / "table.csv", as_csv(COLUMNS, rows))


def trained(network: str, row: str, args: argparse.Namespace) -> Path:
    """The run folder of a row."""
    data_dir, options = (args.test_dir, ()) if row == BOUND else (args.data_dir, ROWS[row])
    few = ("--epochs", "10", "--limit_batches", str(BATCHES[network]))  # the last word counts
    command = ["train_open.py", "--data_dir", os.path.realpath(data_dir), "--device", "cpu", *NETWORKS[network], *few, *options]
    return one_run(command, args.out.resolve() / network / in_a_path(row), "results.json")


def judged(network: str, row: str, run: Path, test_dir: Path) -> Sequence[str]:
    """A row of `COLUMNS`; what a network has learnt from is not tested on."""
    predictor = Predictor.load(run, "cpu")
    lifter, device = predictor.lifter, choose_device("cpu")
    test = load_people(test_dir)
    cells = []
    for people, figures in ((test, (mpjpe, p_mpjpe)), (test.select(("validation",)), (p_mpjpe,))):
        if row == BOUND and people is test:
            cells += ["-"] * len(figures)
            continue
        poses = films(people, seed=0)
        predicted, _ = lift(lifter.networks, poses, device, test_time=lifter.test_time)
        cells += [f"{float(of(predicted, poses.targets_3d).mean()) * 1000:.1f}" for of in figures]
    real = {(of.definition, of.focal_length): of for of in rows_of(load_clip(), network, predictor)}
    for (definition, focal_length), figure in (
        ((AS_THEY_ARE, ASSUMED), "p_mpjpe"),
        ((CONVERTED, ASSUMED), "p_mpjpe"),
        ((CONVERTED, ASSUMED), "n_mpjpe"),
        ((CONVERTED, TRUE), "mpjpe"),
    ):
        found = real[definition, focal_length]
        cells.append(f"{statistics.fmean(getattr(error, figure) for error in found.errors):.1f}")
    return network, row, *cells


if __name__ == "__main__":
    run_script(main)
