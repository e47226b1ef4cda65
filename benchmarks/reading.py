"""How long files of Human3.6M's size take to be read, and how much memory: our reader, which runs no pickle's code, against numpy's.

    python benchmarks/reading.py
    python benchmarks/reading.py --poses 100000 --repeats 3 --out /tmp/reading      # quick

Makes `data_3d_h36m.npz` and `data_2d_h36m_gt.npz` as the field keeps them (7 subjects, 30 actions each, the training subjects with
1.56 million poses before four cameras) of random walks, in a temporary folder. Each is then read as `common.files.arrays.load_arrays` reads
it, and by `numpy.load(allow_pickle=True)`, all entries of it; each time in a process of its own and by turns, so that a busy machine
slows both. Medians go to `reading.csv`: seconds of the clock, seconds of processors, and the most memory above what the process
held before. That of both files one after the other is what training starts with.
"""

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import numpy as np

from common.errors import DuaError
from common.files.arrays import load_arrays
from common.files.writing import write_text

TRAIN, TEST = ("S1", "S5", "S6", "S7", "S8"), ("S9", "S11")
ACTIONS = 30
POSES, TEST_SHARE = 1_559_752, 543_344 / 1_559_752
CAMERAS = 4
WAYS = ("ours", "numpy")


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--read":
        read(sys.argv[2], sys.argv[3].split(os.pathsep))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--poses", type=int, default=POSES, help="of the training subjects, all cameras (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each reading (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results_reading", metavar="DIR", help="of the table")
    args = parser.parse_args()
    if args.poses < CAMERAS * ACTIONS * len(TRAIN) or args.repeats < 1:
        raise DuaError(f"--poses {args.poses} --repeats {args.repeats}: a frame of each action and one repeat are needed")
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), args.poses)
        rows = [row for chosen in ([files[0]], [files[1]], files) for row in compare(chosen, args.repeats)]
    text = io.StringIO()
    table = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_text(args.out / "reading.csv", text.getvalue())
    print(text.getvalue() + f"wrote {args.out / 'reading.csv'}")


def write_files(folder: Path, poses: int, seed: int = 0) -> list[Path]:
    """Both files, of random walks: they deflate to some nine tenths. How far real recordings do was not looked at."""
    rng = np.random.default_rng(seed)
    world: dict[str, dict[str, np.ndarray]] = {}
    pixels: dict[str, dict[str, list[np.ndarray]]] = {}
    for subjects, frames in ((TRAIN, poses // CAMERAS), (TEST, round(TEST_SHARE * poses) // CAMERAS)):
        shares = rng.uniform(0.5, 1.5, (len(subjects), ACTIONS))
        lengths = np.maximum(1, np.floor(shares * frames / shares.sum()).astype(int))
        for subject, row in zip(subjects, lengths, strict=True):
            world[subject] = {f"Action {i}": _walk(rng, (length, 32, 3), 0.01) for i, length in enumerate(row)}
            pixels[subject] = {
                action: [_walk(rng, (len(joints), 17, 2), 1.0) for _ in range(CAMERAS)]
                for action, joints in world[subject].items()
            }
    paths = [folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz"]
    for path, name, values in zip(paths, ("positions_3d", "positions_2d"), (world, pixels), strict=True):
        print(f"writing {path.name}", flush=True)
        np.savez_compressed(path, **{name: np.array(values, dtype=object)})
    return paths


def _walk(rng: np.random.Generator, shape: tuple[int, ...], step: float) -> np.ndarray:
    return np.cumsum(step * rng.standard_normal(shape, np.float32), axis=0)


def compare(files: list[Path], repeats: int) -> list[dict[str, object]]:
    """A row for each way to read `files`, and the ratio of the two."""
    figures: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way in WAYS:
            command = [sys.executable, __file__, "--read", way, os.pathsep.join(map(str, files))]
            figures[way].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    label = " + ".join(file.name for file in files)
    size = sum(file.stat().st_size for file in files) / 1e6
    medians = {way: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for way, runs in figures.items()}
    rows: list[dict[str, object]] = [
        {"files": label, "mb": round(size), "way": way, **{key: round(value, 2) for key, value in row.items()}}
        for way, row in medians.items()
    ]
    ratios = {key: round(medians["ours"][key] / medians["numpy"][key], 2) for key in medians["ours"]}
    return [*rows, {"files": label, "mb": round(size), "way": "ours / numpy", **ratios}]


def read(way: str, files: list[str]) -> None:
    """Print what it takes, as JSON."""
    held = memory_mb("VmRSS")
    clock, cpu = time.perf_counter(), time.process_time()
    kept = []
    for file in files:
        if way == "ours":
            kept.append(load_arrays(file))
        else:
            with np.load(file, allow_pickle=True) as archive:
                kept.append({name: archive[name] for name in archive.files})
    seconds = {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu}
    print(json.dumps(seconds | {"peak_mb": memory_mb("VmHWM") - held, "kept_mb": memory_mb("VmRSS") - held}))
    sys.stdout.flush()
    os._exit(0 if kept else 1)


def memory_mb(field: str) -> float:
    """Of this process, as Linux says it."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) * 1024 / 1e6


if __name__ == "__main__":
    run_script(main)
