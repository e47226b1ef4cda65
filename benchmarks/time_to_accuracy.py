"""How long the two schedules train until they are as good: `--schedule published` against `--schedule fast`, over several seeds.

    python benchmarks/time_to_accuracy.py --data_dir data/demo --epochs 10
    python benchmarks/time_to_accuracy.py --data_dir data/bvh --networks martinez semgcn --jobs 2 --out benchmarks/results_time

Each seed trains the published schedule for `--epochs`, and then the fast one for its share of them, with `main_prob.py` or
`main_gcn_prob.py --non_local`, one thread a run. The goal is the published run's validation MPJPE, in its last epoch and in its best.
What is counted is the time that the epochs' batches take at the run's median speed, from `log.csv`, so that a moment in which the
machine was busy is not; starting, validating and testing are not in it. Runs that are done are left as they are, so a long comparison
can be made in several sittings; but time them on a machine that does little else.
"""

import argparse
import csv
import json
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from benchmarks.runs import one_run
from common.errors import DuaError
from common.evaluation.tables import as_csv, as_text
from common.figures import COLOURS, PAPER, WIDTHS, save, subplots
from common.files.writing import write_text
from common.mocap.demo import build_demo_if_missing
from common.training.schedule import SCHEDULES, fast_options

SCRIPTS = {"martinez": ("main_prob.py",), "semgcn": ("main_gcn_prob.py", "--non_local")}
COLUMNS = (
    "network", "seed", "published s", "its last mm", "its best mm", "fast s", "fast mm", "share of the time", "s to last", "s to best",
    "test mm published", "test mm fast",
)  # fmt: skip

Curve = list[tuple[float, float]]
"""(seconds of training, validation MPJPE in mm) after each epoch."""


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
    parser.add_argument("options", nargs="*", help="after --, options for both trainings, such as --hid_dim 256")
    args = parser.parse_args()
    if min(args.epochs, args.jobs) < 1:
        raise DuaError("--epochs and --jobs are at least 1")
    build_demo_if_missing(args.data_dir)

    def work(task: tuple[str, int]) -> dict[str, Path]:
        network, seed = task
        return {schedule: train(args, network, seed, schedule) for schedule in SCHEDULES}

    tasks = [(network, seed) for network in args.networks for seed in args.seeds]
    with ThreadPoolExecutor(args.jobs) as pool:
        runs = dict(zip(tasks, pool.map(work, tasks)))
    rows = [row(network, seed, folders) for (network, seed), folders in runs.items()]
    rows += [mean(network, [row for row in rows if row[0] == network]) for network in args.networks if len(args.seeds) > 1]
    text = f"{Path(args.data_dir).name}; published schedule for {args.epochs} epochs\n\n{as_text(COLUMNS, rows)}\n"
    write_text(args.out / "table.txt", text)
    write_text(args.out / "table.csv", as_csv(COLUMNS, rows))
    plot({task: {name: curve(folder) for name, folder in folders.items()} for task, folders in runs.items()}, args.out)
    print(f"{text}\n{args.out / 'table.txt'}")


def train(args: argparse.Namespace, network: str, seed: int, schedule: str) -> Path:
    """The run folder of one training, made, taken up or found."""
    epochs = args.epochs if schedule == "published" else fast_options(network, args.epochs)["epochs"]
    command = [
        *SCRIPTS[network],
        "--data_dir",
        str(Path(args.data_dir).resolve()),
        "--schedule",
        schedule,
        "--epochs",
        str(epochs),
    ]
    folder = args.out.resolve() / network / schedule / f"seed_{seed}"
    return one_run([*command, "--seed", str(seed), *args.options], folder, "results.json")


def curve(run: Path) -> Curve:
    batch_size = json.loads((run / "config.json").read_text())["arguments"]["batch_size"]
    epochs = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    poses_per_s = statistics.median(float(epoch["poses_per_s"]) for epoch in epochs)
    return [(int(epoch["step"]) * batch_size / poses_per_s, float(epoch["val_mpjpe_mm"])) for epoch in epochs]


def row(network: str, seed: int, runs: dict[str, Path]) -> list[str]:
    published, fast = (curve(runs[schedule]) for schedule in SCHEDULES)
    last, best = published[-1][1], min(error for _, error in published)
    tests = [json.loads((runs[schedule] / "results.json").read_text())["average"]["mpjpe"] for schedule in SCHEDULES]
    share = fast[-1][0] / published[-1][0]
    reached = [next((f"{seconds:.0f}" for seconds, error in fast if error <= goal), "never") for goal in (last, best)]
    figures = [
        f"{published[-1][0]:.0f}",
        f"{last:.2f}",
        f"{best:.2f}",
        f"{fast[-1][0]:.0f}",
        f"{min(e for _, e in fast):.2f}",
        f"{share:.3f}",
    ]
    return [network, str(seed), *figures, *reached, *(f"{test:.2f}" for test in tests)]


def mean(network: str, rows: list[list[str]]) -> list[str]:
    columns = list(zip(*rows))[2:]
    return [network, "mean", *("-" if "never" in column else f"{statistics.mean(map(float, column)):.3f}" for column in columns)]


def plot(curves: dict[tuple[str, int], dict[str, Curve]], out: Path) -> None:
    """`curves.png` and `.pdf`: validation error over training time, a line for each run."""
    import matplotlib
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    networks = list(dict.fromkeys(network for network, _ in curves))
    with matplotlib.rc_context(PAPER):
        figure, (axes,) = subplots(1, len(networks), (WIDTHS["column"] * len(networks), 2.4))
        for axis, network in zip(axes, networks, strict=True):
            for (name, seed), runs in curves.items():
                for schedule, colour, line in zip(SCHEDULES, COLOURS, ("-", "--"), strict=False):
                    if name == network:
                        seconds, errors = zip(*runs[schedule], strict=True)
                        label = schedule if seed == min(s for n, s in curves if n == network) else None
                        axis.plot(seconds, errors, line, color=colour, label=label, alpha=0.8)
            axis.set(title=network, xlabel="seconds of training", ylabel="validation MPJPE (mm)", xscale="log", yscale="log")
            for numbers in (axis.xaxis, axis.yaxis):
                numbers.set_major_locator(LogLocator(subs=(1, 2, 5) if numbers is axis.xaxis else (1, 2, 3, 4, 5, 6, 8)))
                numbers.set_major_formatter(FormatStrFormatter("%d"))
                numbers.set_minor_formatter(NullFormatter())
            axis.legend()
        save(figure, out / "curves.png", out / "curves.pdf")


if __name__ == "__main__":
    run_script(main)
