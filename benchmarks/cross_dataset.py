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
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from torch import nn
from tqdm import tqdm

from benchmarks.domain_gap import report
from benchmarks.kept import RUNS, KeptResults, key_of
from benchmarks.results_table import COLUMNS, DETECTOR, PAPER, Task, goals, plot, table
from benchmarks.rows import BOUND_SCRIPTS, DIRECTIONS, PRESETS, ROWS, SETS
from benchmarks.runs import arguments_of, evaluated, finished_run, one_run, read_results, tested_again
from common.datasets.h36m import path_2d
from common.errors import DuaError, short_reason
from common.evaluation.tables import RAW, as_csv, as_latex, as_text
from common.files.writing import write_text
from common.mocap.bvh_files import find_bvh
from common.mocap.demo import DATASET_FORMAT, build_demo_if_missing
from common.training.checkpoint import BEST as BEST_EPOCH
from common.training.checkpoint import load_checkpoint, rebuild_networks
from common.training.schedule import fast_options

VERSION = 3
"""Of the benchmark, and part of its hash: results of another are not mixed with these. 2: SURREAL's camera follows the pelvis, more rows. 3: a
capture for each domain, people apart."""

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

    def work(task: Task) -> tuple[Task, dict[str, Any]]:
        result = results[task] if task in to_test else run_row(task, sizes, str(data_dir), converter, out)
        more_tests(task, result, str(data_dir), converter, out, detected)
        kept.add(task, result)
        return task, result

    with (
        ThreadPoolExecutor(args.jobs) as pool,
        tqdm(total=len(tasks), initial=len(tasks) - len(missing) - len(to_test), unit="run", smoothing=0) as bar,
    ):
        for part in (list(trained), again, to_test):  # what is tested again is trained first
            for task, result in pool.map(work, part):
                results[task] = result
                bar.update()
    rows = table(results)
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


def rows_of(names: Sequence[str]) -> list[str]:
    """The rows that some names of rows and of sets stand for, each once, and before a row that is tested again the one that is trained."""
    unknown = [name for name in names if name not in SETS and name not in ROWS]
    if unknown:
        raise DuaError(
            f"--rows '{unknown[0]}': no row and no set of rows; sets are {', '.join(SETS)}, rows are in benchmarks/rows.py"
        )
    wanted = [row for name in names for row in SETS.get(name, (name,))]
    return list(dict.fromkeys(row for name in wanted for row in (ROWS[name].tests or name, name)))


def tested_by(again: Sequence[Task]) -> list[Task]:
    """The rows whose networks these test again."""
    return [(direction, network, ROWS[row].tests or row, seed) for direction, network, row, seed in again]


def run_row(task: Task, sizes: Mapping[tuple[str, str], list[str]], data_dir: str, converter: Path, out: Path) -> dict[str, Any]:
    """The results of one row and seed, trained, taken up or found; `sizes` are the options of `training_sizes`."""
    direction, network, name, seed = task
    row = ROWS[name]
    if row.tests is not None:
        run = finished_run(folder_of((direction, network, row.tests, seed), out), "results.json")
        assert run is not None, "what is tested again was trained before"
        if row.on_target:
            return _bound_again(task, run, data_dir, converter)
        return tested_again(DIRECTIONS[direction][:1], run, data_dir, row.options, folder_of(task, out))
    given = ["--converter", str(converter)] if row.oracle or "converter" in row.modules else []
    if row.oracle:
        command = ["benchmarks/oracle.py", "--source", direction.split()[0], "--network", network, *given]
    elif row.on_target:
        command = [*BOUND_SCRIPTS[direction, network]]
    else:
        command = [*DIRECTIONS[direction], "--network", network, *row.switches(), *given, *row.options]
    command += ["--data_dir", data_dir, *sizes[direction, network], "--seed", str(seed)]
    return read_results(one_run(command, folder_of(task, out), "results.json") / "results.json")


def _bound_again(task: Task, run: Path, data_dir: str, converter: Path) -> dict[str, Any]:
    """Results of the bound's network, tested with the options of another row: its script, which trains in domain, has none of them."""
    target = task[0].split()[-1]
    errors = evaluated(run, target, "gt", data_dir, converter if target == "surreal" else None, ROWS[task[2]].options)
    if "converted" not in errors:
        return {"average": errors["raw"], "also": {}}
    return {"average": errors["converted"], "also": {RAW: {"average": errors["raw"]}}}


def lacks_tests(task: Task, result: Mapping[str, Any], out: Path, data_dir: Path, detected: bool) -> bool:
    """Whether a kept run was never put to one of `more_tests`, and its network, of these data, is still there to be."""
    row = ROWS[task[2]]
    unconverted = row.on_target and task[0].endswith("surreal") and RAW not in result["also"]
    unseen = detected and DETECTOR not in result["average"]
    run = trained_run(task, out) if unconverted or unseen else None
    return run is not None and Path(arguments_of(run)["data_dir"]).resolve() == data_dir


def more_tests(task: Task, result: dict[str, Any], data_dir: str, converter: Path, out: Path, detected: bool) -> None:
    """Put into a result what the training script does not test, if its network is still there: SURREAL's bound against converted labels,
    and the target's 2D as a detector sees it, if the data have that."""
    target = task[0].split()[-1]
    run = trained_run(task, out)
    if run is None:
        return
    row = ROWS[task[2]]
    of_smpl = converter if row.on_target and target == "surreal" else None
    options = row.options if row.tests else ()
    if of_smpl and RAW not in result["also"]:
        errors = evaluated(run, target, "gt", data_dir, of_smpl)["converted"]
        result |= {"average": errors, "also": {RAW: {"average": result["average"]}}}
    if detected:
        found = evaluated(run, target, "detector", data_dir, of_smpl, options)
        seen = {labels: errors["mpjpe"] for labels, errors in found.items()}
        both = RAW in result["also"]
        result["average"][DETECTOR] = seen["converted" if both else "raw"]
        if both:
            result["also"][RAW]["average"][DETECTOR] = seen["raw"]


def trained_run(task: Task, out: Path) -> Path | None:
    """The folder of a finished run whose network was not deleted; of rows that test another's network again, the bound's alone have one."""
    direction, network, name, seed = task
    row = ROWS[name]
    run = finished_run(folder_of((direction, network, (row.on_target and row.tests) or name, seed), out), "results.json")
    return run if run is not None and (run / BEST_EPOCH).exists() else None


def network_of(task: Task, out: Path, data_dir: str, done: str) -> tuple[Path, dict[str, Any], dict[str, nn.Module]]:
    """(file, checkpoint, networks) of a finished run's best epoch, to be looked at on the data that it was trained on.

    Args:
        done: what was not done with it before its network went, for the message.

    Raises:
        DuaError: the network is gone, or was trained on other data.
    """
    run = trained_run(task, out)
    if run is None:
        raise DuaError(
            f"{out}: {', '.join(key_of(task))} was never {done}, and its network is gone; delete its line in {RUNS} and run it anew"
        )
    trained_on = arguments_of(run)["data_dir"]
    if Path(trained_on).resolve() != Path(data_dir).resolve():
        raise DuaError(f"{run} was trained on {trained_on}, not on {data_dir}; give that with --data_dir")
    file = run / BEST_EPOCH
    checkpoint = load_checkpoint(file)
    return file, checkpoint, rebuild_networks(checkpoint, file)


def folder_of(task: Task, out: Path) -> Path:
    direction, network, row, seed = task
    plain = "".join(character if character.isalnum() or character in "+-" else "_" for character in row)
    return out / direction.replace(" -> ", "_to_") / network / plain / f"seed_{seed}"


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


def claim(out: Path, data_dir: Path, preset: str, sizes: Mapping[tuple[str, str], list[str]], networks: Collection[str]) -> None:
    """Write `benchmark.json`, or raise a `DuaError` if the folder holds results of something else.

    Args:
        networks: that have results in the folder; of others, it does not matter how they would have been trained.
    """
    path = out / "benchmark.json"
    facts = {"version": VERSION, "data": data_dir.name, "hash": data_hash(data_dir), "preset": preset}
    facts["trainings"] = in_words(sizes)
    if not path.exists() and (out / RUNS).exists():
        raise DuaError(
            f"{out / RUNS} does not say of what it is: benchmark.json, which lay beside it, is missing; bring it along"
        )
    if path.exists():
        found = read_results(path)
        if not isinstance(found, dict):
            raise DuaError(f"{path} is not what the benchmark writes; choose another folder with --out")
        given = found | {"trainings": _of_networks(found.get("trainings"), networks)}
        wanted = facts | {"trainings": _of_networks(facts["trainings"], networks)}
        differing = [f"{key} {given.get(key)}, not {value}" for key, value in wanted.items() if given.get(key) != value]
        if differing:
            raise DuaError(f"{out} holds results of {'; '.join(differing)}: they are not mixed, choose another folder with --out")
        if found.get("trainings") != facts["trainings"]:
            write_text(path, json.dumps(found | facts, indent=1) + "\n")
        return
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    write_text(path, json.dumps(facts | {"commit": commit(), "machine": machine}, indent=1) + "\n")


def _of_networks(trainings: Any, networks: Collection[str]) -> Any:
    """Of what `in_words` makes, that of these networks; anything else as it is."""
    if not isinstance(trainings, dict):
        return trainings
    return {key: value for key, value in trainings.items() if key.split(", ")[-1] in networks}


def in_words(sizes: Mapping[tuple[str, str], list[str]]) -> dict[str, str]:
    """The options of `training_sizes` as `benchmark.json` keeps them, with what `--schedule fast` stands for today."""
    texts = {}
    for (direction, network), words in sizes.items():
        fast = fast_options(network, 1) if "fast" in words else {}
        stands_for = [
            f"--{name} {value}"
            for name, value in fast.items()
            if name not in ("epochs", "epoch_share") and f"--{name}" not in words
        ]
        texts[f"{direction}, {network}"] = " ".join([*words, *stands_for])
    return texts


def data_hash(data_dir: Path) -> str:
    """SHA-256 of the benchmark's version and of `dataset.json`: the builder's format and seed, and of every sequence its clips, split, body
    and camera."""
    return hashlib.sha256(f"{VERSION}\n".encode() + (data_dir / "dataset.json").read_bytes()).hexdigest()


def commit() -> str:
    """The repository's state, as far as git knows it."""
    finished = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return finished.stdout.strip() or "unknown"


if __name__ == "__main__":
    run_script(main)
