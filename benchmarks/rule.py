"""Which combination would be chosen without a label of the target, and what that choice costs.

    python benchmarks/rule.py --results benchmarks/results/<folder of cross_dataset.py> --data_dir <its data>
    python benchmarks/rule.py --results benchmarks/results/<folder> --data_dir <its data> --rows adversary     # of DUA's classifier's weights

Scores every finished run of some rows of `benchmarks/rows.py`, but of no adaptation and the bound, on the target's training 2D
(`common.adaptation.label_free`), averages over seeds, and picks; rows that lack a seed which others have are named and left out. Only then
are test errors read, to say the regret: how much more the picked one errs than the best one, in percent. Errors are against labels in the
skeleton that networks predict. `rule.txt` and `rule.csv` (`rule_adversary.txt` ..., or `--name`) in the results' folder hold the table,
`scores.csv` the scores of each run, none of which is scored twice, or needs to be there any more.

The formula was fixed on build seed 0; what it is worth is what it does on another that was not looked at.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from tqdm import tqdm

from benchmarks.cross_dataset import NETWORKS
from benchmarks.kept import SCORES, KeptResults, kept_scores, key_of
from benchmarks.results_table import Task
from benchmarks.row_runs import network_of
from benchmarks.rows import BOUND, DIRECTIONS, NONE, SETS
from common.adaptation.converter import convert_labels
from common.adaptation.label_free import WEIGHTS, label_free_scores, pick, total
from common.datasets.h36m import load_h36m, load_h36m_2d
from common.datasets.poses import Poses, UnlabelledPoses
from common.datasets.surreal import load_surreal, load_surreal_2d
from common.errors import DuaError
from common.evaluation.calibration import stored_calibration
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text
from common.geometry.joints_in_2d import joints_of_data_set

_EVERY = 25
"""Frame of the target that scores are made of: neighbours say the same."""
COLUMNS = ("direction", "network", "candidate", *SCORES, "sum", "MPJPE", "picked", "seeds")

CHOICES = ("candidates", "adversary")
"""Sets of rows whose networks all predict converted labels and have seen no label of the target."""

Candidates = dict[str, tuple[dict[str, float], float, int]]
"""{candidate: (scores, MPJPE, number of seeds)}, means over seeds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="folder that cross_dataset.py has written")
    parser.add_argument("--data_dir", required=True, help="the data of those runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="those that are there (default: 0 1 2 3 4)")
    parser.add_argument("--rows", choices=CHOICES, default="candidates", help="to choose from (default: %(default)s)")
    parser.add_argument("--name", help="of the table's files (default: rule, rule_adversary)")
    args = parser.parse_args()
    names = [name for name in SETS[args.rows] if name not in (NONE, BOUND)]
    found = {
        (direction, network): both
        for direction in DIRECTIONS
        for network in NETWORKS
        if (both := _candidates(args, names, direction, network))[0]
    }
    if not found:
        raise DuaError(f"{args.results} holds no finished run of these; make them with cross_dataset.py --rows {args.rows}")
    rows, sentences = [], []
    for (direction, network), (candidates, left_out) in found.items():
        picked = pick({name: scores for name, (scores, *_) in candidates.items()})
        for name, (scores, error, seeds) in candidates.items():
            values = [f"{scores[score]:.1f}" if score in scores else "-" for score in SCORES]
            mark = "picked" if name == picked else ""
            rows.append((direction, network, name, *values, f"{total(scores):.2f}", f"{error:.1f}", mark, str(seeds)))
        sentences.append(f"{direction}, {network}: {_regret(candidates, picked)}")
        if left_out:
            sentences.append(f"left out, with fewer seeds: {'; '.join(left_out)}")
    formula = " + ".join(f"{weight:g} log {name}" for name, weight in WEIGHTS.items() if weight)
    text = "\n".join([f"The least {formula}", "", as_text(COLUMNS, rows), "", *sentences, ""])
    stem = args.name or ("rule" if args.rows == parser.get_default("rows") else f"rule_{args.rows}")
    write_text(args.results / f"{stem}.txt", text)
    write_text(args.results / f"{stem}.csv", as_csv(COLUMNS, rows))
    print(text)


def _candidates(args: argparse.Namespace, names: Sequence[str], direction: str, network: str) -> tuple[Candidates, list[str]]:
    """Of those rows that have a run of every seed that any of them has; and the other rows.

    Raises:
        DuaError: a run was never scored, and its networks are gone; or no row has every seed.
    """
    results = KeptResults(args.results).all()
    seeds = {
        name: {task[3] for task in results if task[:3] == (direction, network, name) and task[3] in args.seeds} for name in names
    }
    there = [name for name in names if seeds[name]]
    shared = sorted(set[int]().union(*seeds.values()))
    whole = [name for name in there if len(seeds[name]) == len(shared)]
    if there and not whole:
        raise DuaError(
            f"{args.results}: {direction}, {network}: no row has all of seeds {', '.join(map(str, shared))}; name those that are there "
            "with --seeds"
        )
    candidates: Candidates = {}
    for name in tqdm(whole, desc=f"{direction}, {network}", disable=None):
        tasks = [(direction, network, name, seed) for seed in shared]
        alike = [_scores(task, args) for task in tasks]
        means = {score: statistics.fmean(scores[score] for scores in alike) for score in alike[0]}
        candidates[name] = (means, statistics.fmean(results[task]["average"]["mpjpe"] for task in tasks), len(shared))
    return candidates, [name for name in there if name not in whole]


def _scores(task: Task, args: argparse.Namespace) -> dict[str, float]:
    """Of a run, kept or made."""
    kept = kept_scores(args.results)
    key = key_of(task)
    scores = kept.read().get(key)
    if scores:
        return scores
    file, checkpoint, networks = network_of(task, args.results, args.data_dir, "scored")
    target = task[0].split()[-1]
    source, unlabelled = _domains(args.data_dir, target, checkpoint["arguments"], networks)
    in_2d = joints_of_data_set(target, networks)
    calibration = stored_calibration(checkpoint, file)
    kept.add({key: label_free_scores(networks, checkpoint["arguments"], calibration, source, unlabelled, in_2d)})
    return kept.read()[key]


def _domains(
    data_dir: str, target: str, arguments: Mapping[str, Any], networks: Mapping[str, Any]
) -> tuple[Poses, UnlabelledPoses]:
    """What the run learnt, in the skeleton that it learnt, and the target's training 2D."""
    sparse = {"downsample": _EVERY}
    if target == "surreal":
        return load_h36m(data_dir, **sparse), load_surreal_2d(data_dir, "train", arguments["smpl_shoulders"], **sparse)
    surreal = load_surreal(data_dir, "train", arguments["smpl_shoulders"], **sparse)
    return convert_labels(surreal, networks["converter"]), load_h36m_2d(data_dir, **sparse)


def _regret(candidates: Candidates, picked: str) -> str:
    best = min(candidates, key=lambda name: candidates[name][1])
    (_, error, _), (_, least, _) = candidates[picked], candidates[best]
    return f"picked '{picked}' with {error:.1f} mm; the best is '{best}' with {least:.1f} mm; regret {100 * (error / least - 1):.1f} %"


if __name__ == "__main__":
    run_script(main)
