"""Whether the benchmark's bound is trained to the end: the network that learns from the target's labels, and one that learns four times as long.

    python benchmarks/convergence.py --data_dir benchmarks/data/<data> --networks martinez semgcn --jobs 2

Trains the row "trained on the target" of preset standard, and the same with four times as many steps, each over its own schedule. Runs that
are done are left, cut-off ones are resumed. `convergence.csv` and the printed table have test errors of both and their ratio.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from benchmarks.cross_dataset import NETWORKS, training_sizes
from benchmarks.kept import beside_others
from benchmarks.rows import BOUND_SCRIPTS, DIRECTIONS
from benchmarks.runs import one_run, read_results
from common.errors import DuaError
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text

COLUMNS = ("target", "network", "steps", "MPJPE", "P-MPJPE", "steps x 4", "MPJPE x 4", "P-MPJPE x 4", "longer, %")
_LONGER = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="folder with both domains")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="(default: both)")
    parser.add_argument("--directions", nargs="+", choices=tuple(DIRECTIONS), default=list(DIRECTIONS), help="(default: both)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "benchmarks" / "results" / "convergence", help="(default: %(default)s)"
    )
    args = parser.parse_args()
    if args.jobs < 1:
        raise DuaError(f"--jobs {args.jobs}: at least 1 is needed")
    data_dir, out = Path(args.data_dir).resolve(), args.out.resolve()
    sizes = {times: training_sizes(data_dir, "standard", times) for times in (1, _LONGER)}
    pairs = [(direction, network) for network in args.networks for direction in args.directions]

    def work(task: tuple[int, str, str]) -> dict[str, float]:
        times, direction, network = task
        command = [*BOUND_SCRIPTS[direction, network], "--data_dir", str(data_dir), *sizes[times][direction, network]]
        folder = out / direction.split()[-1] / network / f"times_{times}" / f"seed_{args.seed}"
        result = read_results(one_run([*command, "--seed", str(args.seed)], folder, "results.json") / "results.json")
        return {name: result["average"][name] for name in ("mpjpe", "p_mpjpe")}

    tasks = [(times, *pair) for times in sizes for pair in pairs]
    with ThreadPoolExecutor(args.jobs) as pool:
        found = dict(zip(tasks, pool.map(work, tasks), strict=True))
    rows = []
    for direction, network in pairs:
        short, longer = (found[times, direction, network] for times in sizes)
        steps, more = (str(_steps(words[direction, network])) for words in sizes.values())
        errors = [[f"{of[name]:.1f}" for name in ("mpjpe", "p_mpjpe")] for of in (short, longer)]
        share = f"{100 * (longer['mpjpe'] / short['mpjpe'] - 1):+.1f}"
        rows.append((direction.split()[-1], network, steps, *errors[0], more, *errors[1], share))
    path = out / "convergence.csv"
    whole = beside_others(path, COLUMNS, rows, keys=3)  # other lengths, other networks
    write_text(path, as_csv(COLUMNS, whole))
    print(as_text(COLUMNS, whole))


def _steps(words: list[str]) -> int:
    """Of a training with these options."""
    return int(words[words.index("--limit_batches") + 1]) * int(words[words.index("--epochs") + 1])


if __name__ == "__main__":
    run_script(main)
