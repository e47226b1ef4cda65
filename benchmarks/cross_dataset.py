"""The open cross-dataset table: both directions, each module of DUA by itself and all together, over several seeds.

    python benchmarks/cross_dataset.py --data_dir data/demo                      # demo clips
    python data/prepare_data_bvh.py ARCHIVE.zip ... --out data/bvh               # any motion capture in BVH
    python benchmarks/cross_dataset.py --data_dir data/bvh --jobs 2

Runs `conversion.py` once and `train_surreal.py` and `train_h36m_dan.py` for every row and seed, each as its user would, and
collects their `results.json`. Rows that are done are skipped, a run that was killed is resumed, so a long table can be made in
several sittings. The best epoch is chosen on the source's validation split; target labels are read by the final test alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from tqdm import tqdm

from common.checkpoint import LAST
from common.demo import build_demo_if_missing
from common.errors import DuaError, run_script
from common.files import write_text
from common.tables import as_csv, as_text

OFF = {"converter": "--no_converter", "uncertainty": "--no_uncertainty", "domain": "--no_domain"}
# Row: modules that are on, further options.
ROWS: dict[str, tuple[set[str], list[str]]] = {
    "no adaptation": (set(), []),
    "+ converter": ({"converter"}, []),
    "+ uncertainty": ({"uncertainty"}, []),
    "+ domain classifier": ({"domain"}, []),
    "DUA (all)": (set(OFF), []),
    "control: domain weight 0": (set(OFF), ["--domain_weight", "0"]),
}
DIRECTIONS = {"surreal -> h36m": ["train_surreal.py", "--dua"], "h36m -> surreal": ["train_h36m_dan.py"]}

# An epoch has the same number of batches in every row: an epoch of DUA is a pass over the longer domain, one without target a
# pass over the source, and rows that trained for longer would not compare.
PRESETS = {
    # half the width, large batches, 600 steps, every second frame: two cores and a quarter of an hour
    "quick": ["--hid_dim", "512", "--batch_size", "256", "--limit_batches", "60", "--epochs", "10", "--downsample", "2"],
    # the paper's network and batch, 100,000 steps
    "full": ["--limit_batches", "500", "--epochs", "200"],
}
COLUMNS = ("direction", "row", "labels", "MPJPE", "+-", "P-MPJPE", "+-", "against none, mm", "%", "seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/demo", help="folder with both domains (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, help="folder for runs and tables (default: benchmarks/results/<data>_<preset>_<network>)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="(default: 0 1 2)")
    parser.add_argument("--preset", choices=list(PRESETS), default="quick", help="size of each training (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each (default: %(default)s)")
    parser.add_argument("--network", choices=("martinez", "semgcn"), default="martinez", help="(default: %(default)s)")
    args = parser.parse_args()
    if len(set(args.seeds)) != len(args.seeds):
        raise DuaError(f"--seeds {' '.join(map(str, args.seeds))}: a seed stands there twice; its run would count twice")
    if args.jobs < 1:
        raise DuaError(f"--jobs {args.jobs}: at least 1 is needed")
    build_demo_if_missing(args.data_dir)
    args.data_dir = str(Path(args.data_dir).resolve())  # the scripts run in the repository's root, wherever this one does
    out = (
        args.out.resolve()
        if args.out
        else ROOT / "benchmarks" / "results" / f"{Path(args.data_dir).name}_{args.preset}_{args.network}"
    )

    converter = one_run(["conversion.py", "--format", "h36m", "--data_dir", args.data_dir], out / "converter", "conversion.json")
    options = ["--data_dir", args.data_dir, "--network", args.network, *PRESETS[args.preset]]
    tasks = [(direction, row, seed) for seed in args.seeds for direction in DIRECTIONS for row in ROWS]

    def work(task: tuple[str, str, int]) -> tuple[tuple[str, str, int], dict]:
        direction, row, seed = task
        on, further = ROWS[row]
        switches = [switch for module, switch in OFF.items() if module not in on]
        with_converter = ["--converter", str(converter)] if "converter" in on else []
        command = [*DIRECTIONS[direction], *options, *switches, *with_converter, *further, "--seed", str(seed)]
        folder = out / direction.replace(" -> ", "_to_") / row.replace(" ", "_").replace(":", "") / f"seed_{seed}"
        return task, json.loads((one_run(command, folder, "results.json") / "results.json").read_text())

    with ThreadPoolExecutor(args.jobs) as pool:
        results = dict(tqdm(pool.map(work, tasks), total=len(tasks), unit="run", smoothing=0))
    rows = table(results, args.seeds)
    text = as_text(COLUMNS, rows)
    write_text(out / "table.txt", text + "\n")
    write_text(out / "table.csv", as_csv(COLUMNS, rows))
    print(
        f"\n{args.data_dir}, {args.network}, preset {args.preset}; errors in mm, mean and standard deviation over seeds\n\n{text}"
    )
    print(f"\n{out / 'table.csv'}")


def one_run(command: list[str], folder: Path, result: str) -> Path:
    """Run a script into `folder`, resume it if it was cut off, or leave it if it is done; returns its run folder."""
    done = finished_run(folder, result)
    if done:
        recorded = json.loads((done / "config.json").read_text())["arguments"]["data_dir"]
        wanted = command[command.index("--data_dir") + 1]
        if Path(recorded).resolve() != Path(wanted):
            raise DuaError(f"{done} was trained on {recorded}, not on {wanted}; choose another folder with --out")
        return done
    cut_off = sorted(folder.glob(f"*/{LAST}"))
    whole = [*command, "--checkpoint", str(folder)] if not cut_off else [command[0], "--resume", str(cut_off[0])]
    # One thread a run: side by side they would otherwise wait for each other's threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, *whole], cwd=ROOT, env=environment, capture_output=True, text=True)
    done = finished_run(folder, result)
    if finished.returncode or not done:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise DuaError(f"python {' '.join(whole)} ended with {finished.returncode} and without {result}: {last}")
    return done


def finished_run(folder: Path, result: str) -> Path | None:
    """The run folder below `folder` that holds `result`."""
    return next((path.parent for path in sorted(folder.glob(f"*/{result}"))), None)


def table(results: dict[tuple[str, str, int], dict], seeds: list[int]) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS`. The h36m -> surreal direction has an error against converted and against raw labels."""
    rows = []
    for direction in DIRECTIONS:
        none = statistics.fmean(average(results[direction, "no adaptation", seed], raw=True)["mpjpe"] for seed in seeds)
        for row in ROWS:
            raw_kinds = [True] if direction == "surreal -> h36m" or "converter" not in ROWS[row][0] else [False, True]
            for raw in raw_kinds:
                errors = {
                    key: [average(results[direction, row, seed], raw)[key] for seed in seeds] for key in ("mpjpe", "p_mpjpe")
                }
                mean = statistics.fmean(errors["mpjpe"])
                spread = {key: statistics.stdev(values) if len(seeds) > 1 else 0.0 for key, values in errors.items()}
                rows.append(
                    (
                        direction,
                        row,
                        "raw" if raw else "converted",
                        f"{mean:.1f}",
                        f"{spread['mpjpe']:.1f}",
                        f"{statistics.fmean(errors['p_mpjpe']):.1f}",
                        f"{spread['p_mpjpe']:.1f}",
                        f"{mean - none:+.1f}",
                        f"{100 * (mean / none - 1):+.1f}",
                        str(len(seeds)),
                    )
                )
    return rows


def average(result: dict, raw: bool) -> dict[str, float]:
    """The averages against raw labels, or against what the script reports first."""
    if raw and result["test"] != "h36m, S9 and S11" and "surreal, raw labels" in result["also"]:
        return result["also"]["surreal, raw labels"]["average"]
    return result["average"]


if __name__ == "__main__":
    run_script(main)
