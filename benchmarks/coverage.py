"""Do radii of nominal 90 % hold 90 % of the joints of the data set that a network was not trained on?

    python benchmarks/coverage.py --results benchmarks/results/<folder of cross_dataset.py> --data_dir <its data>

Judges every finished run of some rows of `benchmarks/rows.py` on the other data set's test, as `evaluate.py --uncertainty --consistency` does: plain
predictions, without the flip of a row; every fifth frame, means over poses. By the estimator, where there is one, the consistency, and a
constant; calibrated on the source's validation split alone, plain and weighted by how much its poses are like a
clip's. Rows whose networks predict another skeleton than labels can be brought to are left out. `coverage.txt` and `coverage.csv` (or
`--name`) in the results' folder hold the table, means over seeds; `coverage_runs.csv` the figures of each run, none of which is judged twice,
or needs to be there any more.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import torch
from tqdm import tqdm

from benchmarks.kept import COVERAGE, KeptResults, Key, kept_coverage, key_of
from benchmarks.results_table import Task
from benchmarks.row_runs import network_of
from benchmarks.rows import BEST, CONTROL, CONVERTER, DIRECTIONS, DUA, PICKED, ROWS, rows_of
from common.datasets.test_sets import load_test
from common.errors import DuaError
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text
from common.uncertainty.report import CONSISTENCY, judge

_EVERY = 5
"""Frame of test and calibration that is judged: neighbours say the same."""
COLUMNS = ("direction", "network", "row", "method", *COVERAGE, "seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder that cross_dataset.py has written")
    parser.add_argument("--data_dir", required=True, help="the data of those runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="those that are there (default: 0 1 2 3 4)")
    parser.add_argument(
        "--rows",
        nargs="+",
        default=[CONVERTER, DUA, CONTROL, BEST, *PICKED],
        metavar="NAME",
        help="rows, or sets of them, of benchmarks/rows.py (default: the converter, DUA, its control, and combinations of before and of now)",
    )
    parser.add_argument("--name", default="coverage", help="of the table's files (default: %(default)s)")
    args = parser.parse_args()
    # Without the converter, networks predict the source's skeleton, and labels are the target's.
    names = [name for name in rows_of(args.rows) if ROWS[name].tests is None and "converter" in ROWS[name].modules]
    if not names:
        raise DuaError(
            "--rows: these predict another skeleton than labels have, or are the bound; rows with the converter can be judged"
        )
    results = KeptResults(args.results).all()
    tasks = [task for task in results if task[2] in names and task[3] in args.seeds]
    if not tasks:
        raise DuaError(f"{args.results} holds no finished run of these rows and seeds; make them with cross_dataset.py")
    kept = kept_coverage(args.results)
    known = {key[:4] for key in kept.read() if key[4] == CONSISTENCY}
    for task in tqdm([task for task in tasks if key_of(task) not in known], unit="run", disable=None):
        kept.add(_judged(task, args))
    lines = _means(kept.read(), [key_of(task) for task in tasks], names)
    text = as_text(COLUMNS, lines)
    write_text(args.results / f"{args.name}.txt", text + "\n")
    write_text(args.results / f"{args.name}.csv", as_csv(COLUMNS, lines))
    print(text)


def _judged(task: Task, args: argparse.Namespace) -> dict[Key, dict[str, float]]:
    """{key of the kept table: figures} of a run by every method that it has."""
    file, checkpoint, networks = network_of(task, args.results, args.data_dir, "judged")
    shoulders = checkpoint["arguments"].get("smpl_shoulders", "shoulder")
    test = load_test(task[0].split()[-1], args.data_dir, "gt", shoulders, _EVERY)
    found = {}
    for judged in judge(file, checkpoint, networks, [test], torch.device("cpu"), args.data_dir, _EVERY, consistency=True):
        s = judged.scores
        assert s.coverage is not None
        assert s.radius_mm is not None
        figures = [s.mpjpe_mm, 100 * s.coverage["90%"], s.radius_mm["90%"]]
        if s.weighted_coverage is not None and s.weighted_radius_mm is not None:
            figures += [100 * s.weighted_coverage, s.weighted_radius_mm]
        found[*key_of(task), judged.method] = dict(zip(COVERAGE, figures, strict=False))
    return found


def _means(kept: Mapping[Key, Mapping[str, float]], tasks: list[Key], names: list[str]) -> list[tuple[str, ...]]:
    """Lines of the table, by direction, network, row as it stands in `names`, and method."""
    seeds = defaultdict(list)
    for key, figures in kept.items():
        if key[:4] in tasks:
            direction, network, row, _, method = key
            seeds[direction, network, row, method].append(figures)
    order = sorted(seeds, key=lambda of: (list(DIRECTIONS).index(of[0]), of[1], names.index(of[2])))
    return [
        (*of, *(_mean([figures[name] for figures in seeds[of] if name in figures]) for name in COVERAGE), str(len(seeds[of])))
        for of in order
    ]


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.1f}" if values else "-"


if __name__ == "__main__":
    run_script(main)
