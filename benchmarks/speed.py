"""How fast this project trains and evaluates, against published code and against what the arithmetic alone takes.

    python benchmarks/speed.py --out benchmarks/results_speed      # six to nine minutes on two cores; the machine should be idle
    python benchmarks/speed.py --quick                             # does it work?
    python benchmarks/speed.py --busy --out benchmarks/results_busy    # training beside other processes, by how threads wait
    python benchmarks/speed.py --measures scripts --people_dir data/people    # what each script takes before it does anything

Three ways, each with networks of the same size, weights and loss on the same poses:

- published: a transcription of how published code does it (`published_step.py` says what that is);
- ours: the project's own loop, batches and evaluation;
- floor: forward, backward and fused Adam on one batch in memory; for evaluation the forward pass alone.

They take turns, so that a busy machine slows all of them, and each figure is the median of some rounds: read the ratios, not the
rates. Evaluation holds MPJPE and P-MPJPE of every pose. The first step and the peak of memory (resident, or CUDA's) are those of a
process of its own, from its start on.
"""

import argparse
import copy
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import speed_busy, speed_imports
from benchmarks.speed_imports import first_step, start
from benchmarks.speed_ways import NETWORKS, Setting, Way, floor, new_networks, ours, published
from common.compute.device import PRECISIONS, choose_device
from common.datasets.h36m import TEST_SUBJECTS, load_h36m
from common.datasets.poses import Poses
from common.errors import DuaError
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text
from common.geometry.skeleton import NUM_JOINTS
from common.mocap.demo import build_demo_if_missing

WAYS = ("published", "ours", "floor")
MEASURES = {"training": "poses/s", "evaluation": "poses/s", "first step": "s", "memory": "MB"}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
COLUMNS = ("batch", "measure", "unit", *WAYS, "ours / published", "ours / floor")

Result = dict[str, Any]
"""{"network", "batch_size", "measure", "published", "ours", "floor"}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), help="(default: both)")
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[64, 256, 1024], help="(default: 64 256 1024)")
    parser.add_argument(
        "--measures", nargs="+", choices=["rates", "start", "scripts"], default=["rates", "start"], help="(default: rates start)"
    )
    parser.add_argument("--people_dir", help="of data/prepare_data_people.py, for train_open.py's first step ('scripts')")
    parser.add_argument("--data_dir", default="data/demo", help="folder with Human3.6M's files (default: %(default)s)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of the published loader (default: %(default)s, as published)")
    parser.add_argument("--compile", action="store_true", help="our way with --compile, for 'rates' alone")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="our way trains so, for 'rates' alone (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each way (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn (default: %(default)s)")
    parser.add_argument(
        "--clock",
        choices=list(CLOCKS),
        default="wall",
        help="cpu: this process's own time, for a machine that is not idle; loader workers are not in it (default: %(default)s)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="batch 64, one short turn each: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--busy", action="store_true", help="measure training beside competing processes instead (benchmarks/speed_busy.py)"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for table.txt, table.csv and speed.json")
    args = parser.parse_args()
    if args.quick:
        args.batch_sizes, args.rounds, args.seconds = [64], 1, 0.0
    if min(*args.batch_sizes, args.threads, args.rounds) < 1 or min(args.batch_sizes) < 2 or args.workers < 0:
        raise DuaError("--batch_sizes must be 2 or more, --threads and --rounds 1 or more, --workers 0 or more")
    if args.busy:
        busy(args)
        return
    build_demo_if_missing(args.data_dir)
    device = choose_device(args.device)
    torch.set_flush_denormal(True)  # as training has it, and for all: no way is to lose by numbers below 1e-38
    torch.set_num_threads(args.threads)
    train, test = load_h36m(args.data_dir), load_h36m(args.data_dir, subjects=TEST_SUBJECTS)
    if max(args.batch_sizes) > len(train):
        raise DuaError(
            f"--batch_sizes {max(args.batch_sizes)} is larger than the {len(train)} training poses; choose smaller ones"
        )

    results, tables = [], [described(args, device)]
    if "scripts" in args.measures:
        scripts(device, args, tables)
    for network in args.networks if {"rates", "start"} & {*args.measures} else ():
        for batch_size in args.batch_sizes:
            if "rates" in args.measures:
                results += rates(network, train, test, batch_size, device, args)
            if "start" in args.measures:
                results += starts(network, batch_size, device, args)
        table = as_text(COLUMNS, rows(result for result in results if result["network"] == network))
        tables.append(f"{network}\n{table}\n{bound(network, device)}")
        print("\n\n".join(tables) if len(tables) == 2 else f"\n{tables[-1]}", flush=True)
    if args.out:
        Path(args.out).mkdir(parents=True, exist_ok=True)
        write_text(Path(args.out) / "table.txt", "\n\n".join(tables) + "\n")
        write_text(Path(args.out) / "table.csv", csv_table(results))
        write_text(Path(args.out) / "speed.json", json.dumps({"setting": tables[0], "results": results}, indent=2) + "\n")


def scripts(device: torch.device, args: argparse.Namespace, tables: list[str]) -> None:
    """Print, keep and add to `tables` those of `benchmarks/speed_imports.py`."""

    rows = speed_imports.imports_table(args.rounds, args.clock)
    rows += speed_imports.first_steps_table(device, args)
    tables.append(f"before anything is done\n{as_text(speed_imports.COLUMNS, rows)}")
    print("\n\n".join(tables), flush=True)
    if args.out:
        Path(args.out).mkdir(parents=True, exist_ok=True)
        write_text(Path(args.out) / "scripts.csv", as_csv(speed_imports.COLUMNS, rows))


def busy(args: argparse.Namespace) -> None:
    """Print and keep the table of `benchmarks/speed_busy.py`, of the first network and batch size."""
    loads = [0, 1, os.cpu_count() or 2]
    network, batch_size = args.networks[0], args.batch_sizes[0]
    columns, rows = speed_busy.columns(loads), speed_busy.table(network, batch_size, args.rounds, args.seconds, loads)
    where = f"torch {torch.__version__} ({processor()}), {os.cpu_count()} cores"
    text = f"{network}, batch {batch_size}, {where}; medians of {args.rounds} rounds\n\n{as_text(columns, rows)}"
    print(text)
    if args.out:
        write_text(Path(args.out) / "table.txt", text + "\n")
        write_text(Path(args.out) / "table.csv", as_csv(columns, rows))


def described(args: argparse.Namespace, device: torch.device) -> str:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return (
        f"torch {torch.__version__} on {device} ({name}), {args.threads} of {os.cpu_count()} cores, {args.workers} loader workers; "
        f"medians of {args.rounds} rounds, {args.clock} time; ours in {args.precision}"
    )


def processor() -> str:
    """Its name where the system tells it."""
    try:
        names = [
            line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
        ]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def rates(
    network: str, train: Poses, test: Poses, batch_size: int, device: torch.device, args: argparse.Namespace
) -> list[Result]:
    """Training and evaluation."""
    networks = new_networks(network, device)
    options = {"ours": ("--precision", args.precision, *(["--compile"] if args.compile else []))}
    settings = [Setting(network, copy.deepcopy(networks), train, test, batch_size, device, options.get(way, ())) for way in WAYS]
    ways = dict(zip(WAYS, (published(settings[0], args.workers), ours(settings[1]), floor(settings[2])), strict=True))

    def trains(way: Way) -> Callable[[int], int]:
        def run(steps: int) -> int:
            way.train(steps)
            return steps * batch_size

        return run

    def evaluates(way: Way) -> Callable[[int], int]:
        return lambda steps: way.evaluate(steps)[0]

    return [
        {"network": network, "batch_size": batch_size, "measure": measure}
        | medians({name: function(way) for name, way in ways.items()}, device, args)
        for measure, function in (("training", trains), ("evaluation", evaluates))
    ]


def medians(runs: dict[str, Callable[[int], int]], device: torch.device, args: argparse.Namespace) -> dict[str, float]:
    """Poses per second of each of some functions of a number of steps, which return how many poses they did, by turns."""
    steps = {}
    for name, run in runs.items():
        run(1)
        seconds, _ = timed(run, 1, device, args.clock)
        run(2)  # what is prepared ahead is used up, what is reserved is there
        steps[name] = max(1, round(args.seconds / max(seconds, 1e-9)))
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            if steps[name] > 1:
                run(1)  # brings the weights back into the cache
            seconds, poses = timed(run, steps[name], device, args.clock)
            speeds[name].append(poses / seconds)
    return {name: statistics.median(values) for name, values in speeds.items()}


def timed(run: Callable[[int], int], steps: int, device: torch.device, clock: str) -> tuple[float, int]:
    started = CLOCKS[clock]()
    poses = run(steps)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return CLOCKS[clock]() - started, poses


def bound(network: str, device: torch.device) -> str:
    """How many poses a second the arithmetic of a forward pass admits in float32, whatever is done around it."""
    networks = new_networks(network, device)
    inputs_2d = torch.zeros(1024, NUM_JOINTS, 2, device=device)
    for module in networks.values():
        module.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        networks["uncertainty"](networks["lifter"](inputs_2d)[1])
    per_pose = counter.get_total_flops() / len(inputs_2d)

    matrix = torch.rand(1024, 1024, device=device)

    def multiply(times: int) -> int:
        for _ in range(times):
            matrix @ matrix
        return times * 2 * 1024**3

    multiply(3)
    speeds = [count / seconds for seconds, count in (timed(multiply, 10, device, "wall") for _ in range(5))]
    peak = statistics.median(speeds)
    return (
        f"forward: {per_pose / 1e6:.1f} MFLOP a pose; products of two 1,024 x 1,024 matrices run at {peak / 1e9:,.0f} GFLOP/s, "
        f"at which it would be {peak / per_pose:,.0f} poses/s"
    )


def starts(network: str, batch_size: int, device: torch.device, args: argparse.Namespace) -> list[Result]:
    """First step and memory."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(min(args.rounds, 3)):
        for way in WAYS:
            found[way].append(start(way, network, batch_size, device, args))
    return [
        {"network": network, "batch_size": batch_size, "measure": measure}
        | {way: statistics.median(one[key] for one in found[way]) for way in WAYS}
        for measure, key in (("first step", first_step(args)), ("memory", "peak_mb"))
    ]


def rows(results: Iterable[Result]) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS`."""
    table = []
    for result in results:
        digits = 2 if result["measure"] == "first step" else 0
        values = [f"{result[way]:.{digits}f}" for way in WAYS]
        ratios = [f"{result['ours'] / result[way]:.2f}" for way in ("published", "floor")]
        table.append((str(result["batch_size"]), result["measure"], MEASURES[result["measure"]], *values, *ratios))
    return table


def csv_table(results: list[Result]) -> str:
    """The tables of all networks in one."""
    named = [(result["network"], *row) for result, row in zip(results, rows(results), strict=True)]
    return as_csv(("network", *COLUMNS), named)


if __name__ == "__main__":
    run_script(main)
