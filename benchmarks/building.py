"""How long BVH files take to become both domains, by the number of processes; every build has to be the same, byte for byte.

    python benchmarks/building.py cmu_mb_01_09.zip
    python benchmarks/building.py cmu_mb_01_09.zip --workers 1 2 4 --repeats 3

Runs `data/prepare_data_bvh.py` by turns with each number. Medians go to `building.csv`: seconds of the clock, seconds of all
processors, of the process and those that it starts.
"""

import argparse
import csv
import filecmp
import io
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from common.errors import DuaError
from common.files.writing import write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path, metavar="FOLDER_OR_ZIP", help="as of data/prepare_data_bvh.py")
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2], help="numbers of processes (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="of each build (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results_reading", metavar="DIR", help="of the table")
    args = parser.parse_args()
    if args.repeats < 1 or min(args.workers) < 1:
        raise DuaError(f"--repeats {args.repeats} --workers {args.workers}: at least 1 is needed")
    seconds: dict[int, list[tuple[float, float]]] = {workers: [] for workers in args.workers}
    with tempfile.TemporaryDirectory() as folder:
        first: Path | None = None
        for repeat in range(args.repeats):
            for workers in args.workers:
                built = Path(folder) / f"{repeat}_{workers}"
                seconds[workers].append(build(args.sources, workers, built))
                if first is None:
                    first = built
                elif unlike := differing(first, built):
                    raise DuaError(f"{', '.join(unlike)}: --workers {workers} built other bytes than --workers {args.workers[0]}")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["sources", "workers", "seconds", "cpu_seconds"])
    for workers, runs in seconds.items():
        clock, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        table.writerow([" ".join(source.name for source in args.sources), workers, round(clock, 1), round(cpu, 1)])
    write_text(args.out / "building.csv", text.getvalue())
    print(text.getvalue() + f"wrote {args.out / 'building.csv'}")


def build(sources: list[Path], workers: int, out: Path) -> tuple[float, float]:
    """Seconds of the clock and of processors."""
    command = [sys.executable, ROOT / "data" / "prepare_data_bvh.py", *sources, "--out", out, "--workers", str(workers)]
    clock, cpu = time.perf_counter(), cpu_seconds()
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise DuaError(process.stderr.strip().splitlines()[-1].removeprefix("error: "))
    return time.perf_counter() - clock, cpu_seconds() - cpu


def cpu_seconds() -> float:
    """Of the processes that have ended, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def differing(one: Path, other: Path) -> list[str]:
    names = sorted({*os.listdir(one), *os.listdir(other)})
    _, unlike, missing = filecmp.cmpfiles(one, other, names, shallow=False)
    return unlike + missing


if __name__ == "__main__":
    run_script(main)
