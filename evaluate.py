"""Errors of any checkpoints on any prepared data sets, in one table.

    python evaluate.py checkpoint/sur_dua checkpoint/h36m_dua --on h36m surreal
    python evaluate.py checkpoint/prob/*/ --on h36m --keypoints cpn_ft_h36m_dbb --out tables/detected
    python evaluate.py checkpoint/prob/<run> --on h36m surreal --uncertainty --mc_dropout 20 --out tables/prob
    python evaluate.py checkpoint/prob/<run> --on h36m surreal --protocol posebench3d --out tables/neighbours

A folder of runs stands for its newest run; where no data are named, the run's own are taken.

A row is a checkpoint on a data set. Raw: against the data set's own labels. Converted: against its labels in the skeleton that
the network predicts, by the converter in the checkpoint; '-' where there is none. With `--converter`, poses of networks that have learnt
SURREAL's joints are brought to Human3.6M's skeleton for that column, as SURREAL's labels are. With `--out NAME`, NAME.csv and NAME.tex
hold the same table. Test data only: S9 and S11 of Human3.6M, the test split of SURREAL. Each is tested as its run was, and with `--tta`
by the mean with the mirrored picture too, whether it was or not.

`--protocol posebench3d` counts errors as PoseBench3D does, beside whose rows they can be read (docs/results.md): against raw labels,
over 16 and 14 joints, means over all poses. `--out NAME` then writes NAME_posebench3d.csv and .tex.

`--uncertainty` judges, in place of the errors, how well each checkpoint knows them; `--out NAME` then writes
NAME_uncertainty.csv, .tex, .json (all numbers) and .png (reliability diagram and sparsification curves). MC-dropout
and consistency (`--consistency`) are calibrated on the validation split of the checkpoint's source, whose training data must be in --data_dir.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import argparse
import json
from pathlib import Path
from typing import Any

from common.adaptation.converter import convert_labels, labels_for, load_converter
from common.compute.device import PRECISIONS, choose_device, choose_precision
from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.datasets.test_sets import load_test, open_test
from common.errors import DuaError
from common.evaluation import posebench3d
from common.evaluation.evaluate import evaluate
from common.evaluation.precision import difference_from_float32
from common.evaluation.tables import as_csv, as_latex, as_text
from common.evaluation.test_time import TestTime
from common.figures import MOST_RUNS
from common.files.writing import write_text
from common.mocap.demo import build_demo_if_missing
from common.plotting.uncertainty_figure import plot_uncertainty
from common.prediction.lifter import Lifter, load_lifter, own_data, usual_keypoints
from common.training.facts import describe, domain_of
from common.uncertainty.report import COLUMNS as UNCERTAINTY_COLUMNS
from common.uncertainty.report import DEFINITIONS, LEGEND, Judged, judge
from models.pose_converter import PoseConverter

COLUMNS = (
    "source",
    "target",
    "network",
    "modules",
    "selection",
    "seed",
    "2D",
    "test",
    "MPJPE raw",
    "P-MPJPE raw",
    "MPJPE conv.",
    "P-MPJPE conv.",
)

_POSEBENCH3D_COLUMNS = (
    *COLUMNS[:6],
    "protocol",
    "test",
    "poses",
    "MPJPE 16",
    "PA-MPJPE 16",
    "MPJPE 14",
    "PA-MPJPE 14",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "checkpoints",
        nargs="+",
        metavar="CHECKPOINT",
        help="checkpoint files, run folders for their best, folders of runs for their newest",
    )
    parser.add_argument(
        "--data_dir", help="folder with the prepared data sets (default: the one that the runs were trained from)"
    )
    parser.add_argument(
        "--on", nargs="+", choices=("h36m", "surreal"), default=["h36m"], help="data sets to test on (default: h36m)"
    )
    parser.add_argument("-k", "--keypoints", help="2D joints of Human3.6M, or 'detector' (default: gt)")
    parser.add_argument("--downsample", type=int, default=1, help="keep every n-th frame (default: %(default)s)")
    parser.add_argument(
        "--smpl_shoulders", choices=("shoulder", "collar"), default="shoulder", help="SMPL joints that count as shoulders"
    )
    parser.add_argument("-dv", "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    parser.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="float32",
        help="of the matrix products; auto: bfloat16 where the processor has it (default: %(default)s)",
    )
    parser.add_argument(
        "--protocol",
        choices=("own", posebench3d.NAME),
        default="own",
        help="how errors are counted: as all results here, or as PoseBench3D counts them (default: %(default)s)",
    )
    parser.add_argument(
        "--converter",
        metavar="FILE",
        help="checkpoint of conversion.py --format h36m, or its run folder: poses of networks that have learnt SURREAL's joints are judged in "
        "Human3.6M's skeleton as well",
    )
    parser.add_argument(
        "--tta",
        action="store_true",
        help="average every pose with that of its mirrored picture, as runs with --tta are tested anyway",
    )
    parser.add_argument("--out", metavar="NAME", help="write NAME.csv and NAME.tex as well")
    parser.add_argument("--uncertainty", action="store_true", help="judge the checkpoints' uncertainty, not their errors")
    parser.add_argument(
        "--mc_dropout",
        type=int,
        nargs="?",
        const=20,
        metavar="N",
        help="judge MC-dropout of N passes as well (20 if no N is given)",
    )
    parser.add_argument(
        "--consistency",
        action="store_true",
        help="judge as well how consistent poses are with their pictures and with the mirrored ones, which needs no estimator",
    )
    args = parser.parse_args()
    if args.consistency and not args.uncertainty:
        raise DuaError("--consistency is an uncertainty; add --uncertainty")
    if args.mc_dropout is not None and not args.uncertainty:
        raise DuaError("--mc_dropout is an uncertainty; add --uncertainty")
    if args.mc_dropout is not None and args.mc_dropout < 2:
        raise DuaError(f"--mc_dropout {args.mc_dropout}: at least 2 passes are needed")
    if args.downsample < 1:
        raise DuaError(f"--downsample {args.downsample}: at least 1 is needed")
    as_posebench3d = args.protocol == posebench3d.NAME
    if as_posebench3d:
        _check_posebench3d(args)
    if args.converter and (args.uncertainty or as_posebench3d):
        raise DuaError("--converter is of the table of errors; leave it out with --uncertainty and --protocol")
    if args.tta and args.uncertainty:
        raise DuaError("--tta: uncertainty is of plain predictions; leave one of them out")
    device = choose_device(args.device)
    precision = choose_precision(args.precision, device)
    if args.uncertainty and precision != "float32":
        raise DuaError(f"--precision {precision}: with --uncertainty there is float32 alone; leave one of them out")
    converter = load_converter(args.converter, "h36m", args.smpl_shoulders)[0] if args.converter else None
    lifters = [load_lifter(path, device) for path in args.checkpoints]
    if args.tta:
        for lifter in lifters:
            lifter.checkpoint["arguments"]["tta"] = True
    if converter is not None and all(lifter.skeleton != "smpl" for lifter in lifters):
        raise DuaError("--converter: none of these networks has learnt SURREAL's joints; leave it out")
    data_dir = args.data_dir or own_data(lifters)
    if not args.data_dir:
        print(f"data: {data_dir}")
    for lifter in lifters:
        shoulders = lifter.checkpoint["arguments"].get("smpl_shoulders", args.smpl_shoulders)
        if ("surreal" in args.on or (args.converter and lifter.skeleton == "smpl")) and shoulders != args.smpl_shoulders:
            raise DuaError(
                f"{lifter.file} was trained with --smpl_shoulders {shoulders}, not {args.smpl_shoulders}; give the same"
            )
    build_demo_if_missing(data_dir)
    keypoints = args.keypoints or ("gt" if as_posebench3d or "h36m" not in args.on else usual_keypoints(lifters))
    given = data_dir, keypoints, posebench3d.NAME if as_posebench3d else args.smpl_shoulders, args.downsample
    read = load_test if args.uncertainty else open_test  # errors can be counted chunk by chunk, ranks and quantiles cannot
    tests = [read(name, *given) for name in dict.fromkeys(args.on)]

    judged: list[Judged] = []
    rows = []
    for lifter in lifters:
        if args.uncertainty:
            of_checkpoint = lifter.file, lifter.checkpoint, lifter.networks
            judged += judge(
                *of_checkpoint, tests, device, data_dir, args.downsample, passes=args.mc_dropout, consistency=args.consistency
            )
        elif as_posebench3d:
            rows += posebench3d_rows(lifter, tests)
        else:
            rows += error_rows(lifter, tests, precision, converter if lifter.skeleton == "smpl" else None)
    if args.uncertainty:
        report_uncertainty(judged, args.out)
    elif as_posebench3d:
        print_table(_POSEBENCH3D_COLUMNS, rows, f"{args.out}_{posebench3d.NAME}" if args.out else None)
    else:
        print_table(COLUMNS, rows, args.out)


def _check_posebench3d(args: argparse.Namespace) -> None:
    """Raise a `DuaError` where an option says otherwise than the protocol does."""
    others = {
        "--uncertainty": args.uncertainty,
        f"--keypoints {args.keypoints}": args.keypoints not in (None, "gt"),
        f"--downsample {args.downsample}": args.downsample != 1,
        f"--smpl_shoulders {args.smpl_shoulders}": args.smpl_shoulders != "shoulder",
        f"--precision {args.precision}": args.precision != "float32",
    }
    for option in (option for option, given in others.items() if given):
        raise DuaError(
            f"--protocol {posebench3d.NAME} counts every frame's ground-truth 2D in float32, with SMPL's shoulders; leave out {option}"
        )


Test = tuple[Poses | Streamed[Poses], str]
"""Poses, and where their 2D came from."""


def posebench3d_rows(lifter: Lifter, tests: list[Test]) -> list[tuple[str, ...]]:
    """The errors of a checkpoint on each of `tests` as PoseBench3D counts them."""
    facts = describe(lifter.checkpoint)
    rows = []
    for poses, _ in tests:
        domain = domain_of(lifter.checkpoint, poses)
        errors = posebench3d.evaluate_posebench3d(lifter.networks, poses, lifter.device, domain, lifter.test_time)
        rows.append(
            (
                *_named(facts),
                posebench3d.NAME,
                poses.name,
                str(errors.poses),
                *(f"{found[number]:.1f}" for number in (16, 14) for found in (errors.mpjpe, errors.pa_mpjpe)),
            )
        )
    return rows


def _named(facts: dict[str, Any]) -> tuple[str, ...]:
    """A checkpoint in the first six of `COLUMNS`."""
    modules = "+".join(facts["modules"]) or "none"
    return facts["source"], facts["target"] or "-", facts["network"], modules, facts["selection"], str(facts["seed"])


def error_rows(
    lifter: Lifter, tests: list[Test], precision: str = "float32", converter: PoseConverter | None = None
) -> list[tuple[str, ...]]:
    """The errors of a checkpoint on each of `tests`. Of a test in fewer bits than float32's it is printed what they change.

    Args:
        converter: brings poses and SURREAL's labels to Human3.6M's skeleton, of networks that predict SURREAL's joints.
    """
    checkpoint, networks, device = lifter.checkpoint, lifter.networks, lifter.device
    facts = describe(checkpoint)
    rows = []
    for poses, keypoints in tests:
        domain = domain_of(checkpoint, poses)
        test_time = TestTime.of(checkpoint["arguments"], precision)
        raw = evaluate(networks, poses, device, domain, test_time).average
        labels = labels_for(checkpoint, networks, poses)
        if converter is not None:
            labels = poses if poses.name == "h36m" else convert_labels(poses, converter)
        if labels is poses and converter is None:
            converted: dict[str, float] | None = raw
        else:
            converted = evaluate(networks, labels, device, domain, test_time, converter).average if labels is not None else None
        if precision != "float32":
            print(f"{poses.name}: {difference_from_float32(networks, poses, device, domain, test_time)}")
        rows.append(
            (
                *_named(facts),
                keypoints,
                poses.name if precision == "float32" else f"{poses.name}, {precision}",
                *(f"{raw[key]:.1f}" for key in ("mpjpe", "p_mpjpe")),
                *(f"{converted[key]:.1f}" if converted else "-" for key in ("mpjpe", "p_mpjpe")),
            )
        )
    return rows


def report_uncertainty(judged: list[Judged], out: str | None) -> None:
    """The table, what its columns mean, and with `out` the files."""
    name = f"{out}_uncertainty" if out else None
    print_table(UNCERTAINTY_COLUMNS, [row.row() for row in judged], name)
    if name:
        write_text(
            name + ".json", json.dumps({"definitions": DEFINITIONS, "rows": [row.to_dict() for row in judged]}, indent=1) + "\n"
        )
        drawn = plot_uncertainty(name + ".png", judged)
        why = f"no {name}.png: more than {MOST_RUNS} curves cannot be told apart; give fewer checkpoints or methods"
        print(f"{name}.json", f"{name}.png" if drawn else why, sep="\n")
    print(f"\n{LEGEND}")


def print_table(columns: tuple[str, ...], rows: list[tuple[str, ...]], out: str | None) -> None:
    print(as_text(columns, rows))
    if out:
        for ending, text in ((".csv", as_csv(columns, rows)), (".tex", as_latex(columns, rows))):
            path = Path(out + ending)
            write_text(path, text)
            print(path)


if __name__ == "__main__":
    run_script(main)
