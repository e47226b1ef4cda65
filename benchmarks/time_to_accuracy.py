"""How long the two schedules train until they are as good: `--schedule published` against `--schedule fast`, over several seeds.

    python benchmarks/time_to_accuracy.py --data_dir data/demo --epochs 10
    python benchmarks/time_to_accuracy.py --data_dir data/bvh --networks martinez semgcn --jobs 2 --out benchmarks/results_time
    python benchmarks/time_to_accuracy.py --data_dir data/bvh --published benchmarks/results_time/table.csv --out benchmarks/results_new

Each seed trains the published schedule for `--epochs`, and then the fast one for its share of them, with `main_prob.py` or
`main_gcn_prob.py --non_local`, one thread a run. The goal is the published run's validation MPJPE, in its last epoch and in its best;
network, data, validation and test are the same. With `--published TABLE` the errors of published runs are those of a table that this
program made before, of the same data and epochs, and none is trained again.

Time is a step's times the steps. A step of either schedule is timed by turns in one process, on the processor's own clock and on one
thread, so that what else the machine does counts for neither: read the ratio. Starting, validating and testing are not in
it. Runs that are done are left as they are, so a long comparison can be made in several sittings. What was tried on the way to the
fast schedule, and what it was worth: benchmarks/records.md.
"""

import argparse
import csv
import json
import statistics
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import torch

from benchmarks.runs import one_run
from benchmarks.speed_ways import Setting, arguments, new_networks, ours
from common.datasets.h36m import load_h36m
from common.errors import DuaError, short_reason
from common.evaluation.tables import as_csv, as_text
from common.figures import COLOURS, PAPER, WIDTHS, save, subplots
from common.files.writing import write_text
from common.mocap.demo import build_demo_if_missing
from common.training.schedule import SCHEDULES, fast_options

_STEPS = 20
"""That are timed at once."""
SCRIPTS = {"martinez": ("main_prob.py",), "semgcn": ("main_gcn_prob.py", "--non_local")}
COLUMNS = (
    "network", "seed", "published s", "its last mm", "its best mm", "fast s", "fast mm", "share of the time", "share to last",
    "share to best", "test mm published", "test mm fast",
)  # fmt: skip
NEVER = "never"

Curve = list[tuple[float, float]]
"""(seconds of training, validation MPJPE in mm) after each epoch."""


class Published(NamedTuple):
    """What a published run came to, in mm: validation errors of its last epoch and its best, and the test's."""

    last: float
    best: float
    test: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/demo", help="folder with Human3.6M's files (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", choices=list(SCRIPTS), default=["martinez"], help="(default: martinez)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="(default: 0 1 2 3 4)")
    parser.add_argument("--epochs", type=int, default=10, help="of the published schedule (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="seeds side by side, one thread each (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results_time"), help="for runs and tables (default: %(default)s)"
    )
    parser.add_argument(
        "--published", type=Path, metavar="TABLE", help="a table.csv of this program, whose published runs are not made again"
    )
    parser.add_argument(
        "--rounds", type=int, default=7, help="turns of each schedule when steps are timed (default: %(default)s)"
    )
    parser.add_argument("options", nargs="*", help="after --, options for both trainings, such as --hid_dim 256")
    args = parser.parse_args()
    if min(args.epochs, args.jobs) < 1:
        raise DuaError("--epochs and --jobs are at least 1")
    build_demo_if_missing(args.data_dir)

    known = published_errors(args.published) if args.published else {}
    again = not known
    tasks = [(network, seed) for network in args.networks for seed in args.seeds]
    missing = [f"{network} {seed}" for network, seed in tasks if not again and (network, seed) not in known]
    if missing:
        raise DuaError(f"{args.published} has no row of {', '.join(missing)}; leave --published out, or name other seeds")

    def work(task: tuple[str, int]) -> dict[str, Path]:
        network, seed = task
        return {schedule: train(args, network, seed, schedule) for schedule in SCHEDULES if schedule == "fast" or again}

    with ThreadPoolExecutor(args.jobs) as pool:
        runs = dict(zip(tasks, pool.map(work, tasks)))
    steps = {network: seconds_per_step(network, args) for network in args.networks}
    courses = {
        task: {schedule: curve(folder, steps[task[0]][schedule]) for schedule, folder in folders.items()}
        for task, folders in runs.items()
    }
    rows = []
    for (network, seed), folders in runs.items():
        if again:
            errors = [error for _, error in courses[network, seed]["published"]]
            known[network, seed] = Published(errors[-1], min(errors), test_error(folders["published"]))
        whole = published_steps(args, network, folders["fast"]) * steps[network]["published"]
        rows.append(row(network, seed, known[network, seed], whole, courses[network, seed]["fast"], test_error(folders["fast"])))
    rows += [mean(network, [row for row in rows if row[0] == network]) for network in args.networks if len(args.seeds) > 1]
    text = f"{Path(args.data_dir).name}; published schedule for {args.epochs} epochs\n\n{as_text(COLUMNS, rows)}\n"
    write_text(args.out / "table.txt", text)
    write_text(args.out / "table.csv", as_csv(COLUMNS, rows))
    plot(courses, known, args.out)
    print(f"{text}\n{args.out / 'table.txt'}")


def train(args: argparse.Namespace, network: str, seed: int, schedule: str) -> Path:
    """The run folder of one training, made, taken up or found."""
    length = {"epochs": args.epochs, "epoch_share": 1.0}
    if schedule == "fast":
        length = {name: fast_options(network, args.epochs)[name] for name in length}
    command = [
        *SCRIPTS[network],
        "--data_dir",
        str(Path(args.data_dir).resolve()),
        "--schedule",
        schedule,
        *(word for name, value in length.items() for word in (f"--{name}", str(value))),
    ]
    folder = args.out.resolve() / network / schedule / f"seed_{seed}"
    return one_run([*command, "--seed", str(seed), *args.options], folder, "results.json")


def published_errors(table: Path) -> dict[tuple[str, int], Published]:
    """{(network, seed): errors} of a table that this program wrote."""
    names = ("its last mm", "its best mm", "test mm published")
    try:
        rows = [of for of in csv.DictReader(table.read_text().splitlines()) if of["seed"] != "mean"]
        return {(of["network"], int(of["seed"])): Published(*(float(of[name]) for name in names)) for of in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DuaError(f"{table} is no table.csv of this program ({short_reason(error)}); give one to --published") from error


def test_error(run: Path) -> float:
    return float(json.loads((run / "results.json").read_text())["average"]["mpjpe"])


def published_steps(args: argparse.Namespace, network: str, run: Path) -> int:
    """Of the whole published schedule, on as many poses as a run was trained on."""
    poses = json.loads((run / "config.json").read_text())["poses"]["train"]
    return args.epochs * (poses // arguments(network, None, *args.options).batch_size)


def seconds_per_step(network: str, args: argparse.Namespace) -> dict[str, float]:
    """{schedule: seconds}: medians of the processor's time, on one thread, by turns."""
    poses = load_h36m(args.data_dir)
    torch.set_flush_denormal(True)  # as training has it
    torch.set_num_threads(1)
    ways = {}
    for schedule in SCHEDULES:
        options = ("--schedule", schedule, "--epochs", str(args.epochs), *args.options)
        given = arguments(network, None, *options)
        networks = new_networks(network, torch.device("cpu"), *args.options)
        ways[schedule] = ours(Setting(network, networks, poses, poses, given.batch_size, torch.device("cpu"), options))
    found: dict[str, list[float]] = {schedule: [] for schedule in SCHEDULES}
    for turn in range(args.rounds + 1):
        for schedule, way in ways.items():
            started = time.process_time()
            way.train(_STEPS)
            if turn:  # the first brings everything into memory
                found[schedule].append((time.process_time() - started) / _STEPS)
    return {schedule: statistics.median(seconds) for schedule, seconds in found.items()}


def curve(run: Path, seconds_a_step: float) -> Curve:
    epochs = csv.DictReader((run / "log.csv").read_text().splitlines())
    return [(int(epoch["step"]) * seconds_a_step, float(epoch["val_mpjpe_mm"])) for epoch in epochs]


def row(network: str, seed: int, published: Published, whole: float, fast: Curve, test: float) -> list[str]:
    """A row of `COLUMNS`.

    Args:
        whole: seconds of the published run.
    """
    goals = (published.last, published.best)
    reached = [next((f"{seconds / whole:.3f}" for seconds, error in fast if error <= goal), NEVER) for goal in goals]
    return [
        network,
        str(seed),
        f"{whole:.0f}",
        f"{published.last:.2f}",
        f"{published.best:.2f}",
        f"{fast[-1][0]:.0f}",
        f"{min(error for _, error in fast):.2f}",
        f"{fast[-1][0] / whole:.3f}",
        *reached,
        f"{published.test:.2f}",
        f"{test:.2f}",
    ]


def mean(network: str, rows: list[list[str]]) -> list[str]:
    columns = list(zip(*rows))[2:]
    return [network, "mean", *("-" if NEVER in column else f"{statistics.mean(map(float, column)):.3f}" for column in columns)]


def plot(curves: dict[tuple[str, int], dict[str, Curve]], known: Mapping[tuple[str, int], Published], out: Path) -> None:
    """`curves.png` and `.pdf`: validation error over training time, a line for each run; the published runs' best errors, their mean, across."""
    import matplotlib
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    networks = list(dict.fromkeys(network for network, _ in curves))
    with matplotlib.rc_context(PAPER):
        figure, (axes,) = subplots(1, len(networks), (WIDTHS["column"] * len(networks), 2.4))
        for axis, network in zip(axes, networks, strict=True):
            for (name, seed), runs in curves.items():
                for schedule, colour, line in zip(SCHEDULES, COLOURS, ("-", "--"), strict=False):
                    if name == network and schedule in runs:
                        seconds, errors = zip(*runs[schedule], strict=True)
                        label = schedule if seed == min(s for n, s in curves if n == network) else None
                        axis.plot(seconds, errors, line, color=colour, label=label, alpha=0.8)
            best = statistics.mean(of.best for (name, _), of in known.items() if name == network)
            axis.axhline(best, color=COLOURS[0], linewidth=0.6, linestyle=":", label="published, its best (mean)")
            axis.set(title=network, xlabel="seconds of training", ylabel="validation MPJPE (mm)", xscale="log", yscale="log")
            for numbers in (axis.xaxis, axis.yaxis):
                numbers.set_major_locator(LogLocator(subs=(1, 2, 5) if numbers is axis.xaxis else (1, 2, 3, 4, 5, 6, 8)))
                numbers.set_major_formatter(FormatStrFormatter("%d"))
                numbers.set_minor_formatter(NullFormatter())
            axis.legend()
        save(figure, out / "curves.png", out / "curves.pdf")


if __name__ == "__main__":
    run_script(main)
