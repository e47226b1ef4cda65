"""The open cross-dataset benchmark: both directions, DUA's modules one by one, and what goes beyond them, over several seeds.

    python benchmarks/cross_dataset.py                                            # demo clips, preset quick
    python benchmarks/cross_dataset.py --surreal_bvh CMU.zip --h36m_bvh BANDAI.zip ... --preset standard --jobs 2
    python benchmarks/cross_dataset.py --bvh ARCHIVE.zip FOLDER ... --jobs 2      # both domains move as one capture does
    python benchmarks/cross_dataset.py --data_dir data/bvh --networks martinez semgcn

Builds the data if it is not there, prints how far its two domains are apart (`benchmarks/domain_gap.py`), runs `conversion.py` once
and the training scripts for every row and seed, each as its user would, and prints the table. Rows that are done are skipped,
a run that was killed is resumed, so a long table can be made in several sittings: what a run came to is in `runs.csv`, which with
`benchmark.json` (of what: data, its hash, preset, trainings) is all that another machine needs to go on. To make a run anew, delete its
folder and its lines in `runs.csv` and `scores.csv`. Tables (text, CSV, LaTeX) and the plot (PNG, PDF) hold all rows and seeds that are
there; each is compared over the seeds that both have. The protocol is in benchmarks/README.md.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from tqdm import tqdm

from benchmarks.claims import claim
from benchmarks.domain_gap import report
from benchmarks.kept import KeptResults
from benchmarks.results_table import COLUMNS, PAPER, Task, goals, plot, table
from benchmarks.row_runs import folder_of, lacks_tests, more_tests, run_row
from benchmarks.rows import DIRECTIONS, PRESETS, ROWS, SETS, rows_of
from benchmarks.runs import finished_run, one_run
from common.datasets.h36m import path_2d
from common.datasets.surreal_file import DETECTOR
from common.errors import DuaError, short_reason
from common.evaluation.tables import as_csv, as_latex, as_text
from common.files.writing import write_text
from common.mocap.bvh_files import find_bvh
from common.mocap.demo import DATASET_FORMAT, build_demo_if_missing

NETWORKS = ("martinez", "semgcn")
_BYTES_PER_CLIP = 4_000_000
"""What a BVH clip of some seconds becomes in both domains, with the default takes; room for runs comes on top."""
_BYTES_PER_RUN = 30_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--data_dir", default="data/demo", help="folder with both domains (default: %(default)s)")
    data.add_argument("--bvh", nargs="+", metavar="PATH", help="BVH folders, files or archives to build both domains from")
    data.add_argument("--surreal_bvh", nargs="+", metavar="PATH", help="the same for SURREAL's domain alone; with --h36m_bvh")
    parser.add_argument("--h36m_bvh", nargs="+", metavar="PATH", help="for Human3.6M's domain alone; with --surreal_bvh")
    parser.add_argument(
        "--build_seed", type=int, default=0, help="of BVH files: which clips test, which bodies (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for runs and tables (default: benchmarks/results/<data>_<preset>_<networks>)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="(default: 0 1 2 3 4)")
    parser.add_argument(
        "--preset",
        choices=("quick", "trial", "standard", "full"),
        default="quick",
        help="size of each training (default: %(default)s)",
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=["martinez"], help="(default: martinez)")
    parser.add_argument(
        "--rows", nargs="+", default=["all"], metavar="NAME", help=f"rows, or sets of them: {', '.join(SETS)} (default: all)"
    )
    parser.add_argument(
        "--directions", nargs="+", choices=tuple(DIRECTIONS), default=list(DIRECTIONS), help="to be made (default: both)"
    )
    args = parser.parse_args()
    if len(set(args.seeds)) != len(args.seeds):
        raise DuaError(f"--seeds {' '.join(map(str, args.seeds))}: a seed stands there twice; its run would count twice")
    if min(args.seeds) < 0:
        raise DuaError(f"--seeds {' '.join(map(str, args.seeds))}: seeds are 0 or more")
    if args.jobs < 1:
        raise DuaError(f"--jobs {args.jobs}: at least 1 is needed")

    started = time.time()
    if bool(args.surreal_bvh) != bool(args.h36m_bvh):
        raise DuaError(
            "--surreal_bvh and --h36m_bvh belong together: a capture for each domain; give both, or --bvh for one capture"
        )
    captures = {"surreal": args.surreal_bvh, "h36m": args.h36m_bvh} if args.surreal_bvh else {"": args.bvh} if args.bvh else {}
    data_dir = build(captures, args.build_seed) if captures else Path(args.data_dir)
    build_demo_if_missing(data_dir)
    data_dir = data_dir.resolve()  # the scripts run in the repository's root, wherever this one does
    out = (
        args.out.resolve()
        if args.out
        else ROOT / "benchmarks" / "results" / "_".join([data_dir.name, args.preset, *args.networks])
    )
    tasks = [
        (direction, network, row, seed)
        for seed in args.seeds
        for direction in args.directions
        for network in args.networks
        for row in rows_of(args.rows)
        if ROWS[row].there_is(direction)
    ]
    if not tasks:
        raise DuaError(
            f"--rows {' '.join(args.rows)}: no row of {' and '.join(args.directions)}, where labels are projected in the target's joints anyway"
        )
    kept = KeptResults(out)
    results = kept.all()
    detected = path_2d(data_dir, DETECTOR).exists()  # the builders write both domains' or neither's
    missing = [task for task in tasks if task not in results]
    to_test = [task for task in tasks if task in results and lacks_tests(task, results[task], out, data_dir, detected)]
    again = [task for task in missing if ROWS[task[2]].tests is not None]
    trained = dict.fromkeys(task for task in missing if task not in again)
    trained |= dict.fromkeys(task for task in tested_by(again) if not finished_run(folder_of(task, out), "results.json"))
    sizes = training_sizes(data_dir, args.preset)
    check_disk(out, _BYTES_PER_RUN * len(trained), "the runs")
    claim(out, data_dir, args.preset, sizes, {task[1] for task in results})

    gap = out / "domain_gap.txt"
    if missing or to_test or not gap.exists():
        command = ["conversion.py", "--format", "h36m", "--data_dir", str(data_dir)]
        converter = one_run(command, out / "converter", "conversion.json")
    if not gap.exists():
        write_text(gap, report(str(data_dir), converter) + "\n")
    print(gap.read_text(), flush=True)

    def finish(task: Task, result: dict[str, Any]) -> None:
        more_tests(task, result, str(data_dir), converter, out, detected)
        kept.add(task, result)
        bar.update()

    def make(task: Task) -> None:
        finish(task, run_row(task, sizes, str(data_dir), converter, out))

    with (
        ThreadPoolExecutor(args.jobs) as pool,
        tqdm(total=len(tasks), initial=len(tasks) - len(missing) - len(to_test), unit="run", smoothing=0) as bar,
    ):
        # What is tested again is trained first; where it was trained anew, what was kept of its other tests is gone.
        list(pool.map(make, trained))
        there = kept.all()
        list(pool.map(make, [task for task in tasks if ROWS[task[2]].tests is not None and task not in there]))
        list(
            pool.map(
                lambda task: finish(task, results[task]), [task for task in to_test if task in there and task not in trained]
            )
        )
    rows = table(kept.all())  # with what other processes have added meanwhile
    text = as_text(COLUMNS, rows)
    lines = [
        f"{data_dir.name}, preset {args.preset}; errors in mm, mean and standard deviation over seeds; best epoch by source validation",
        "",
        text,
        "",
        *goals(rows),
        PAPER,
        "",
    ]
    write_text(out / "table.txt", "\n".join(lines))
    write_text(out / "table.csv", as_csv(COLUMNS, rows))
    write_text(out / "table.tex", as_latex(COLUMNS, rows))
    plot(rows, out / "table.png")
    print("\n" + "\n".join(lines))
    print(f"{(time.time() - started) / 3600:.2f} hours this time, {args.jobs} runs side by side; {out / 'table.csv'}")


def tested_by(again: Sequence[Task]) -> list[Task]:
    """The rows whose networks these test again."""
    return [(direction, network, ROWS[row].tests or row, seed) for direction, network, row, seed in again]


def training_sizes(data_dir: Path, preset: str, times: int = 1) -> dict[tuple[str, str], list[str]]:
    """{(direction, network): options of its trainings, so many times as long}, by the smaller of the two training sets, as
    `dataset.json` counts them."""
    path = data_dir / "dataset.json"
    if not path.exists():
        raise DuaError(f"{path} does not exist; the benchmark needs data that data/prepare_data_bvh.py or _demo.py built")
    views = {"h36m": 4, "surreal": 1}  # cameras that see a frame
    try:
        described = json.loads(path.read_text())
        poses = min(
            count * sum(entry["frames"] for entry in described[domain]["sequences"] if entry["split"] == "train")
            for domain, count in views.items()
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DuaError(f"{path} is damaged ({short_reason(error)}); build the data set anew") from error
    return {
        (direction, network): PRESETS[preset, network].command(poses, direction.split()[-1], times)
        for direction in DIRECTIONS
        for network in NETWORKS
    }


def build(captures: Mapping[str, list[str]], seed: int) -> Path:
    """The folder with both domains of some BVH files, built if it is not there.

    Args:
        captures: paths by the domain that they are for, '' for both.
    """
    sources = {domain: find_bvh([Path(path) for path in paths]) for domain, paths in captures.items()}
    names = "\n".join(
        line
        for domain, found in sources.items()
        for line in sorted(f"{domain}{of.name} {of.path.stat().st_size}" for of in found)
    )
    digest = hashlib.sha256(f"{DATASET_FORMAT}\n{names}".encode()).hexdigest()[:8]
    folder = ROOT / "benchmarks" / "data" / f"{'bvh' if '' in captures else 'two'}_{digest}_{seed}"
    if not (folder / "dataset.json").exists():
        check_disk(folder, _BYTES_PER_CLIP * sum(map(len, sources.values())), "the data")
        words = ["data/prepare_data_bvh.py"]
        for domain, paths in captures.items():
            words += [f"--{domain}_bvh"] * bool(domain) + [str(Path(path).resolve()) for path in paths]
        words += ["--out", str(folder), "--seed", str(seed)]
        if subprocess.run([sys.executable, *words], cwd=ROOT).returncode:
            raise DuaError("building the data failed, see above")
    return folder


def check_disk(folder: Path, needed: int, what: str) -> None:
    """Raise a `DuaError` if the disk under `folder` has less than `needed` bytes free."""
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise DuaError(
            f"{there} has {free / 1e9:.1f} GB free, {what} may need {needed / 1e9:.1f} GB; make room, or choose another disk with --out"
        )


if __name__ == "__main__":
    run_script(main)
