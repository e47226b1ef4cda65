"""Time per epoch and memory of training on data sets from 10^4 to 10^7 poses, read from their file by blocks.

    python benchmarks/scale.py                                            # 5.4 GB of data, most of an hour on two cores
    python benchmarks/scale.py --sizes 10000 100000 1000000
    python benchmarks/scale.py --sizes 6500000 --paper 6500000            # SURREAL's size; Martinez as in its paper as well

Each size is a domain that `data/prepare_data_demo.py --poses` builds (validation clips, about a tenth, count) and that later runs
find again. What is measured is `train_surreal.py` itself, in a process of its own: once with `--stream on` and, up to `--memory`
poses, once with `--stream off`. Its network is so small (16 features, batches of 256) that reading, shuffling and the loop of
training are most of what is timed; a network of a real size adds its own time for each pose, the same for any number of them.
Time per epoch is that of training alone, the median over the epochs after the first. Memory is the largest resident set that the system saw
of the process (ru_maxrss), from the first import to the test's report. 'reading' is the block shuffle with no network behind it.

`--paper N` trains the network of the paper's size on N poses for 200 batches, for its memory alone.

Writes `scale.csv`, `scale.json`, `scale.png` and `scale.pdf` into `--out`.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import h5py
import numpy as np
import torch

from common.datasets.block_batches import BlockBatches
from common.datasets.poses import Poses, split_validation
from common.datasets.streamed import Streamed
from common.datasets.surreal_file import path_surreal
from common.datasets.surreal_stream import open_surreal
from common.errors import DuaError
from common.evaluation.tables import as_csv, as_text
from common.figures import COLOURS, MARKERS, PAPER, WIDTHS, save, subplots
from common.files.writing import write_text
from common.mocap.domain_stream import check_disk

SMALL = ("--hid_dim", "16", "--num_layers", "1", "--batch_size", "256")
COLUMNS = (
    "run",
    "poses",
    "trained on",
    "s / epoch",
    "poses / s",
    "us / pose",
    "peak MB",
    "reading, poses / s",
    "clips in 64",
    "pairs of a clip, %",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10**4, 10**5, 10**6, 10**7], help="poses (default: %(default)s)")
    parser.add_argument(
        "--memory", type=int, default=10**6, help="largest size that is trained from memory too (default: %(default)s)"
    )
    parser.add_argument("--paper", type=int, metavar="N", help="a run of the paper's network on N poses")
    parser.add_argument("--epochs", type=int, default=3, help="of each run; at least 2 (default: %(default)s)")
    parser.add_argument(
        "--data", type=Path, default=ROOT / "benchmarks/data/scale", metavar="DIR", help="where the data sets are"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks/results/scale", metavar="DIR", help="(default: %(default)s)"
    )
    args = parser.parse_args()
    if args.epochs < 2:
        raise DuaError(f"--epochs {args.epochs}: the first is not counted, so at least 2 are needed")

    rows: list[dict[str, Any]] = []
    for size in sorted(args.sizes):
        folder = built(size, args.data / str(size))
        rows.append({"run": "streamed", "poses": size, **trained(folder, args.epochs, "on"), **shuffled(folder)})
        if size <= args.memory:
            rows.append({"run": "in memory", "poses": size, **trained(folder, args.epochs, "off")})
        report(rows, args.out)
    if args.paper:
        folder = built(args.paper, args.data / str(args.paper))
        run = trained(folder, 1, "on", ("--limit_batches", "200"))
        rows.append({"run": "paper's size", "poses": args.paper, "trained_on": run["trained_on"], "peak_mb": run["peak_mb"]})
        report(rows, args.out)
    print(as_text(COLUMNS, [cells(row) for row in rows]))


def built(poses: int, folder: Path) -> Path:
    """A folder with a SURREAL domain of that size, made now unless it is there."""
    path = path_surreal(folder, "train")
    if (folder / "dataset.json").exists():
        with h5py.File(path) as file:
            if len(file["joints_2d"]) == poses:
                return folder
    check_disk(poses, folder)
    started = time.perf_counter()
    process("data/prepare_data_demo.py", "--poses", str(poses), "--out", str(folder))
    seconds = time.perf_counter() - started
    print(f"{folder}: built in {seconds:.0f} s, {poses / seconds:,.0f} poses/s with the Human3.6M domain", flush=True)
    return folder


def process(*words: str) -> float:
    """Run `python WORDS`; returns the largest resident set in megabytes.

    Raises:
        DuaError: it failed.
    """
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            last = (errors.read().strip().splitlines() or ["no message"])[-1]
            raise DuaError(f"python {' '.join(words)} ended with {child.returncode}: {last}")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def trained(folder: Path, epochs: int, stream: str, options: tuple[str, ...] = SMALL) -> dict[str, Any]:
    """Train a network on a domain; its size, speed and memory."""
    with tempfile.TemporaryDirectory() as runs:
        words = ("--no_dua", "--data_dir", str(folder), "--stream", stream, "--device", "cpu", "--epochs", str(epochs))
        peak = process("train_surreal.py", *words, "--checkpoint", runs, *options)
        run = next(Path(runs).iterdir())
        poses = json.loads((run / "config.json").read_text())["poses"]["train"]
        with open(run / "log.csv", newline="") as lines:
            speeds = [float(row["poses_per_s"]) for row in csv.DictReader(lines)]
    speed = statistics.median(speeds[1:] or speeds)
    return {"trained_on": poses, "poses_per_s": speed, "s_per_epoch": poses / speed, "peak_mb": peak}


def shuffled(folder: Path) -> dict[str, float]:
    """The block shuffle by itself: its speed, and the mixture in the batches of 64 of two buffers."""
    poses = split_validation(open_surreal(folder, stream="on"))[0]
    assert isinstance(poses, Streamed)
    batches = BlockBatches(poses, lambda part: (part.inputs_2d, part.targets_3d), 256, seed=0)
    started, seen = time.perf_counter(), 0
    for batch in islice(batches.epoch(0), 4096):
        seen += len(batch[0])
    speed = seen / (time.perf_counter() - started)

    def clips(part: Poses) -> tuple[torch.Tensor]:
        lengths = torch.tensor([sequence.stop - sequence.start for sequence in part.sequences])
        return (torch.repeat_interleave(torch.arange(len(lengths)), lengths),)

    counts = [torch.bincount(numbers) for (numbers,) in islice(BlockBatches(poses, clips, 64, seed=0).epoch(0), 4096)]
    different = statistics.fmean(int((often > 0).sum()) for often in counts)
    pairs = statistics.fmean(int((often * (often - 1)).sum()) / (64 * 63) for often in counts)
    return {"reading_poses_per_s": speed, "clips_in_64": different, "pairs_of_a_clip": 100 * pairs}


def cells(row: dict[str, Any]) -> list[str]:
    def cell(name: str, form: str) -> str:
        return format(row[name], form) if name in row else "-"

    each = f"{1e6 / row['poses_per_s']:.2f}" if "poses_per_s" in row else "-"
    forms = (("s_per_epoch", ".2f"), ("poses_per_s", ",.0f"))
    last = (("peak_mb", ".0f"), ("reading_poses_per_s", ",.0f"), ("clips_in_64", ".2f"), ("pairs_of_a_clip", ".3f"))
    return [
        row["run"],
        f"{row['poses']:,}",
        cell("trained_on", ",.0f"),
        *(cell(*form) for form in forms),
        each,
        *(cell(*form) for form in last),
    ]


def report(rows: list[dict[str, Any]], out: Path) -> None:
    """Keep what is known so far, so that a large size that fails takes nothing with it."""
    facts = {"cpu_count": os.cpu_count(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    write_text(out / "scale.json", json.dumps({**facts, "rows": rows}, indent=1) + "\n")
    write_text(out / "scale.csv", as_csv(COLUMNS, [cells(row) for row in rows]))
    plot(rows, out)
    print(f"{rows[-1]['run']}, {rows[-1]['poses']:,} poses: {rows[-1]['peak_mb']:.0f} MB", flush=True)


def plot(rows: list[dict[str, Any]], out: Path) -> None:
    import matplotlib

    with matplotlib.rc_context(PAPER):
        figure, grid = subplots(1, 2, (WIDTHS["page"], 2.4))
        time_axis, memory_axis = grid[0]
        for i, run in enumerate(dict.fromkeys(row["run"] for row in rows)):
            style = {"color": COLOURS[i], "marker": MARKERS[i], "label": run}
            timed = [(row["trained_on"], row["s_per_epoch"]) for row in rows if row["run"] == run and "s_per_epoch" in row]
            if timed:
                time_axis.plot(*zip(*timed, strict=True), **style)
            memory_axis.plot(
                *zip(*((row["trained_on"], row["peak_mb"]) for row in rows if row["run"] == run), strict=True), **style
            )
        streamed = [(row["trained_on"], row["s_per_epoch"]) for row in rows if row["run"] == "streamed"]
        ends = np.array([streamed[0][0], streamed[-1][0]], dtype=float)
        time_axis.plot(ends, ends * streamed[-1][1] / streamed[-1][0], "k:", label="linear")  # through the largest
        memory_axis.axhline(1000, color="k", linestyle=":", label="1 GB")
        for axis, name in ((time_axis, "seconds per epoch"), (memory_axis, "peak memory, MB")):
            axis.set(xscale="log", xlabel="poses trained on", ylabel=name)
            axis.legend()
        time_axis.set_yscale("log")
        memory_axis.set_ylim(bottom=0)
        save(figure, out / "scale.png", out / "scale.pdf")


if __name__ == "__main__":
    run_script(main)
