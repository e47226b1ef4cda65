"""Figures for a paper from finished runs: errors by joint and by action, training curves, uncertainty against error.

    python plots.py checkpoint/surreal/<run> checkpoint/surreal/<other run> --out figures/
    python plots.py checkpoint/prob/*/ --kind joints actions --labels Martinez SemGCN --width page --out figures/in_domain
    python plots.py checkpoint/prob/<run> --kind uncertainty --data_dir data/demo --dataset surreal --out figures/across
    python plots.py tables/prob_uncertainty.json --out figures/dropout
    python plots.py checkpoint/plain/<run> checkpoint/dua/<run> --kind features --labels before after --out figures/aligned

A RUN is a run folder, a folder of runs for its newest, a results_*.json in one, or a JSON file of `evaluate.py --uncertainty
--out`. Each kind becomes a PDF and a PNG (300 dpi), in the width of a column (3.3 in) or of a page (7 in): print them without
scaling. Runs that were tested on different data are drawn in panels of their own, because their errors do not compare.

`uncertainty` lets a run's checkpoint predict test data again, without options of the test such as --tta, and shows the true
errors of joints over the expected ones, in millimetres by the calibration on the source's validation split.

`features` shows each run's checkpoint the test poses of both data sets (no label is read), and draws what reaches its last layer on
the two axes along which it varies most, with the A-distance of the domains: 0 if a linear classifier cannot tell them apart on
clips that it has not seen, 2 if it always can.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.compute.device import choose_device
from common.datasets.poses import Poses
from common.datasets.test_sets import DATA_SETS, load_test
from common.errors import DuaError
from common.figures import MOST_RUNS, PAPER, WIDTHS, save
from common.mocap.demo import build_demo_if_missing
from common.plotting import run_figures
from common.plotting.feature_figure import FeaturePlane, draw_feature_planes, feature_plane
from common.plotting.finished_runs import (
    Run,
    Spread,
    holds_spreads,
    names_of,
    read_log,
    read_run,
    read_spreads,
    spread_of,
    with_oracle,
)
from common.prediction.lifter import Lifter, load_lifter, own_data
from common.uncertainty.report import CONSTANT, judge

KINDS = ("joints", "actions", "curves", "uncertainty", "features")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="run folders, folders of runs for their newest, results_*.json, or *_uncertainty.json of evaluate.py",
    )
    parser.add_argument(
        "--out", metavar="NAME", required=True, help="a folder (NAME/, or one that is there), or how the files' names begin"
    )
    parser.add_argument("--kind", nargs="+", choices=KINDS, help="what to draw (default: all that the runs have, but features)")
    parser.add_argument("--labels", nargs="+", metavar="NAME", help="a name for each RUN (default: what the results say of it)")
    parser.add_argument("--width", choices=list(WIDTHS), default="column", help="3.3 or 7 inches (default: %(default)s)")
    data = parser.add_argument_group("test data, for uncertainty and features")
    data.add_argument("--data_dir", help="folder with the prepared data sets (default: the one that the run was trained from)")
    data.add_argument("--dataset", choices=("h36m", "surreal"), help="(default: the run's target, or its source if it has none)")
    data.add_argument("-dv", "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    args = parser.parse_args()
    stem = output_stem(args.out)
    labels: list[str] = args.labels or []
    if labels and len(labels) != len(args.runs):
        raise DuaError(
            f"--labels names {len(labels)}, but there are {len(args.runs)} runs: give a name for each, quoted if it has spaces"
        )
    if len(args.runs) > MOST_RUNS:
        raise DuaError(f"{len(args.runs)} runs: more than {MOST_RUNS} cannot be told apart in a figure; draw fewer at once")

    given = [read_spreads(path) if holds_spreads(path) else read_run(path) for path in args.runs]
    runs = [run for run in given if isinstance(run, Run)]
    if not runs and args.kind not in (None, ["uncertainty"]):
        raise DuaError(f"{args.runs[0]} holds uncertainties alone: leave out --kind {' '.join(args.kind)}, or give run folders")
    names = run_names(runs, [label for label, run in zip(labels, given) if isinstance(run, Run)])
    tested = list(dict.fromkeys(f"{run.test} ({run.poses:,} poses)" for run in runs))
    if len(tested) > 1:
        print(f"the runs were tested on different data, which do not compare: a panel for each of {'; '.join(tested)}")

    import matplotlib  # here, not above: who asks for --help, or names runs that are not there, need not wait for it

    figures: dict[str, Any] = {}
    inches = WIDTHS[args.width]
    with matplotlib.rc_context(PAPER):
        for kind in dict.fromkeys(args.kind or KINDS[:-1]):
            if kind == "features":
                planes = [feature_plane_of(run, args) for run in runs]
                figures[kind] = draw_feature_planes(planes, names, inches)
            elif kind == "uncertainty":
                drawn = uncertainties(given, labels, args)
                if drawn:
                    figures[kind] = run_figures.uncertainty_spread(*drawn, inches)
            elif kind == "curves" and not args.kind:
                validated = [(run, name) for run, name in zip(runs, names, strict=True) if run.held_out]
                for run in (run for run in runs if not run.held_out):
                    print(f"{run.file.parent} held nothing out, so that no epoch was validated: left out of 'curves'")
                if validated:
                    figures[kind] = draw(kind, *zip(*validated, strict=True), inches)
            elif runs:
                figures[kind] = draw(kind, runs, names, inches)
        for kind, figure in figures.items():
            for ending in ("pdf", "png"):
                save(figure, f"{stem}{kind}.{ending}")
                print(f"{stem}{kind}.{ending}")


def output_stem(out: str) -> str:
    """What the files' names begin with: `out`/ of a folder, else `out`_. A folder that is not there is made with the first file.

    Raises:
        DuaError: the folder cannot be made or written; said before anything is computed.
    """
    is_folder = out.endswith(os.sep) or Path(out).is_dir()
    folder = Path(out) if is_folder else Path(out).parent
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise DuaError(f"the folder {folder} of --out cannot be made, {there} is a file; choose another")
    if not os.access(there, os.W_OK):
        raise DuaError(f"the folder {there} of --out cannot be written; choose another")
    return f"{folder}{os.sep}" if is_folder else f"{out}_"


def run_names(runs: Sequence[Run], labels: Sequence[str]) -> list[str]:
    facts = [run.facts for run in runs]
    return with_oracle(labels, facts) if labels else names_of(facts)


def draw(kind: str, runs: Sequence[Run], names: Sequence[str], inches: float) -> Any:
    if kind == "joints":
        return run_figures.joint_errors(runs, names, inches)
    if kind == "actions":
        return run_figures.action_errors(runs, names, inches)
    return run_figures.training_curves(runs, [read_log(run) for run in runs], names, inches)


def uncertainties(
    given: Sequence[Run | list[Spread]], labels: Sequence[str], args: argparse.Namespace
) -> tuple[list[Spread], list[str]] | None:
    """Every uncertainty of the runs that have an estimator, and their names; None if none has one and it was not asked for.

    Raises:
        DuaError: it was asked for, and none has one; or what it takes is missing.
    """
    spreads: list[list[Spread]] = []
    for path, run in zip(args.runs, given, strict=True):
        if isinstance(run, list):
            spreads.append(run)
        elif why := why_not_judged(run, args):
            spreads.append([])
            print(f"{path} {why}: left out of 'uncertainty'")
        else:
            spreads.append(found := judged(run, args))
            if not found:
                print(f"{path} is of other poses than the run's own test: left out of 'uncertainty'")
    flat = [spread for of_run in spreads for spread in of_run]
    if not flat:
        if args.kind:
            raise DuaError("none of the runs has an uncertainty estimator; leave out --kind uncertainty")
        return None
    if len(flat) > MOST_RUNS:
        raise DuaError(
            f"{len(flat)} uncertainties: more than {MOST_RUNS} panels are too small to read; draw fewer runs or tests at once"
        )
    if labels:
        names = [label for label, of_run in zip(labels, spreads, strict=True) for _ in of_run]
        names = with_oracle(names, [spread.facts for spread in flat])
    else:
        distinct = {str(spread.facts): spread.facts for spread in flat}
        named = dict(zip(distinct, names_of(list(distinct.values())), strict=True))
        names = [named[str(spread.facts)] for spread in flat]
    if len({spread.method for spread in flat}) > 1:
        names = [f"{name}, {spread.method}" for name, spread in zip(names, flat, strict=True)]
    return flat, names


def why_not_judged(run: Run, args: argparse.Namespace) -> str | None:
    """What a run lacks for its uncertainty to be drawn; of one whose uncertainty was asked for, only an estimator: all else is an error."""
    if not run.estimator:
        return "has no uncertainty estimator"
    if args.kind:
        return None
    if not run.held_out:
        return "held nothing out, so that its estimator is not calibrated"
    if (args.dataset or run.facts["target"] or run.facts["source"]) not in DATA_SETS:
        return "has learnt from none of the data sets, and --dataset names none"
    return None


def judged(run: Run, args: argparse.Namespace) -> list[Spread]:
    """The estimator of a run's checkpoint on test data, read as the run read them; nothing if the results are of another test, and if it was
    asked for an error."""
    lifter = load_lifter(run.checkpoint, choose_device(args.device))
    checkpoint = lifter.checkpoint
    data_dir, read = tests_of(run, lifter, args)
    own = checkpoint["target"] or checkpoint["source"]
    test = read(args.dataset or own)
    if args.dataset in (None, own) and len(test[0]) != run.poses:
        if not args.kind:
            return []
        raise DuaError(
            f"{run.file} is of {run.poses:,} poses, and the run's own test of all actions in {data_dir} has {len(test[0]):,}, of which alone the "
            "uncertainty is drawn; leave 'uncertainty' out (--kind), or give results of that test and its --data_dir"
        )
    rows = judge(lifter.file, checkpoint, lifter.networks, [test], lifter.device, data_dir, checkpoint["arguments"]["downsample"])
    return [spread_of(row.to_dict()) for row in rows if row.method != CONSTANT]


def feature_plane_of(run: Run, args: argparse.Namespace) -> FeaturePlane:
    """Both domains' test poses as a run's network sees them; of a run without a target the other data set is the target."""
    lifter = load_lifter(run.checkpoint, choose_device(args.device))
    _, read = tests_of(run, lifter, args)
    source = lifter.checkpoint["source"]
    if source not in DATA_SETS:
        raise DuaError(
            f"{run.file} has learnt from {source}, which is none of the data sets, so there is no second domain to draw; leave out --kind features"
        )
    (target,) = {"h36m", "surreal"} - {source}
    return feature_plane(lifter.networks, read(source)[0], read(target)[0], lifter.test_time)


def tests_of(run: Run, lifter: Lifter, args: argparse.Namespace) -> tuple[str, Callable[[str], tuple[Poses, str]]]:
    """The folder of the test data, and what reads a data set's as the run read them."""
    checkpoint, recorded = lifter.checkpoint, lifter.checkpoint["arguments"]
    data_dir = args.data_dir or own_data([lifter])
    build_demo_if_missing(data_dir)

    def read(name: str) -> tuple[Poses, str]:
        shoulders, downsample = recorded.get("smpl_shoulders", "shoulder"), recorded["downsample"]
        tested = name == (checkpoint["target"] or checkpoint["source"])  # of another, the 2D is what the run was trained with
        return load_test(name, data_dir, run.facts["keypoints"] if tested else checkpoint["keypoints"], shoulders, downsample)

    return data_dir, read


if __name__ == "__main__":
    run_script(main)
