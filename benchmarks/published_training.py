"""Do we train as well as the published code? Both on the same clips, test errors after every epoch, over several seeds.

    python benchmarks/published_training.py --jobs 2
    python benchmarks/published_training.py --networks semgcn --epochs 2 --seeds 0 1 --codes ours published published_mse --out DIR
    python benchmarks/published_training.py --data_dir data/bandai --networks martinez --epochs 12 --seeds 0 1 2

Ours is `main_prob.py` (or `main_gcn_prob.py`) with `--select last`: all clips of the training subjects train, batch 64, published
schedule. Theirs is `benchmarks/published_step.py`'s transcription, trained as the scripts of the same names do in
https://github.com/jrjoaorenato/DUA (commit 7490b18). What they do otherwise than ours:

- Martinez: the estimator begins with Kaiming-normal weights, and the relative error that it learns is not detached, so that its loss
  shapes the poses as well. Batches that are not full are left out, as by ours.
- SemGCN: the poses learn by L1, as they come out of the network, the hip with them. An epoch's last batch may be of a few poses, whose
  BatchNorm statistics are then in the running ones when it is tested.
- Both: the lifting network's gradients alone are clipped to norm 1.

`--codes` trains the transcription with one of these things as ours has it, to see which of them tells.

Errors are means over all poses of S9 and S11, as the published scripts print them. Runs that are done are left as they are.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.published_networks import PublishedSemGCN, as_published
from benchmarks.runs import one_run, read_results
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m
from common.datasets.poses import Poses
from common.errors import DuaError
from common.evaluation.evaluate import predict
from common.evaluation.losses import relative_error
from common.evaluation.metrics import mpjpe, p_mpjpe
from common.evaluation.tables import as_csv, as_text
from common.files.writing import write_text
from common.mocap.demo import build_demo_if_missing
from common.training.arguments import parse_arguments, training_parser
from common.training.checkpoint import load_checkpoint, rebuild_networks
from common.training.networks import add_network_arguments, lifter_description, uncertainty_description
from models import build

SCRIPTS = {"martinez": "main_prob.py", "semgcn": "main_gcn_prob.py"}


@dataclass(frozen=True)
class Recipe:
    """How the transcription is trained; by default as published. The others change one thing to what ours does.

    Attributes:
        mse: SemGCN's poses learn by MSE, from the hip.
        weight: of the uncertainty loss.
        hidden_scale: of the estimator's hidden layer (`models.uncertainty.UncertaintyEstimator`); None as ours has it.
        clips_all: the estimator's gradients count in the norm that is clipped.
        detached: Martinez's estimator learns an error that is a constant.
        full_batches: SemGCN's epochs end with their last full batch.
    """

    mse: bool = False
    weight: float = 0.1
    hidden_scale: float | None = 1.0
    clips_all: bool = False
    detached: bool = False
    full_batches: bool = False


CODES = {
    "ours": None,
    "published": Recipe(),
    "published_mse": Recipe(mse=True),
    "published_without_estimator": Recipe(weight=0.0),
    "published_slow_estimator": Recipe(hidden_scale=None),
    "published_mse_slow_estimator": Recipe(mse=True, hidden_scale=None),
    "published_full_batches": Recipe(full_batches=True),
    "published_mse_full_batches": Recipe(mse=True, full_batches=True),
    "published_but_as_ours": Recipe(mse=True, hidden_scale=None, clips_all=True, full_batches=True),
    "published_clips_all": Recipe(clips_all=True),
    "published_detached": Recipe(detached=True),
}
COLUMNS = ("network", "code", "epoch", "MPJPE", "+-", "P-MPJPE", "P +-", "seeds", "more than ours", "in its errors")
"""+- are standard errors of the means, and the last column tells the difference in standard errors of the difference."""

Errors = list[tuple[float, float]]
"""(MPJPE, P-MPJPE) in mm after each epoch."""

_BATCH, _LR = 64, 1e-3
_CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/demo", help="folder with Human3.6M's files (default: %(default)s)")
    parser.add_argument("--networks", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS), help="(default: both)")
    parser.add_argument(
        "--codes", nargs="+", choices=list(CODES), default=["ours", "published"], help="(default: ours published)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="(default: 0 1 2 3 4)")
    parser.add_argument("--epochs", type=int, default=6, help="(default: %(default)s)")
    parser.add_argument("--hid_dim", type=int, help="width, for trials (default: the networks' own)")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results_published"), help="for runs and tables (default: %(default)s)"
    )
    args = parser.parse_args()
    if min(args.epochs, args.jobs) < 1:
        raise DuaError("--epochs and --jobs are at least 1")
    build_demo_if_missing(args.data_dir)
    tasks = [(args, network, seed, code) for seed in args.seeds for network in args.networks for code in args.codes]
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        found = {task[1:]: errors for task, errors in zip(tasks, pool.map(_errors_of, tasks), strict=True)}
    rows = [
        row(network, code, epoch, found, args.seeds)
        for network in args.networks
        for code in args.codes
        for epoch in range(args.epochs)
    ]
    title = f"{Path(args.data_dir).name}, all clips of the training subjects; errors on S9 and S11 in mm, means over seeds"
    text = f"{title}\n\n{as_text(COLUMNS, rows)}\n"
    write_text(args.out / "table.txt", text)
    write_text(args.out / "table.csv", as_csv(COLUMNS, rows))
    print(f"{text}\n{args.out / 'table.txt'}")


def row(network: str, code: str, epoch: int, found: dict[tuple[str, int, str], Errors], seeds: list[int]) -> list[str]:
    """Means and their standard errors after one epoch, and how far from ours."""
    both = [_mean([found[network, seed, code][epoch][which] for seed in seeds]) for which in range(2)]
    cells = [cell for mean, spread in both for cell in (f"{mean:.1f}", "-" if math.isnan(spread) else f"{spread:.1f}")]
    apart = ["-", "-"]
    if code != "ours" and (network, seeds[0], "ours") in found:
        mean, spread = _mean([found[network, seed, "ours"][epoch][0] for seed in seeds])
        difference = both[0][0] - mean
        apart = [f"{difference:+.1f}", "-" if math.isnan(spread) else f"{difference / math.hypot(spread, both[0][1]):+.1f}"]
    return [network, code, str(epoch + 1), *cells, str(len(seeds)), *apart]


def _mean(errors: list[float]) -> tuple[float, float]:
    """Mean and standard error, NaN of a single one."""
    spread = statistics.stdev(errors) / math.sqrt(len(errors)) if len(errors) > 1 else math.nan
    return statistics.mean(errors), spread


def _errors_of(task: tuple[argparse.Namespace, str, int, str]) -> Errors:
    """Of one run, which is made if it is not there; in a process of its own."""
    args, network, seed, code = task
    torch.set_num_threads(1)
    path = args.out.resolve() / network / code / f"seed_{seed}.json"
    made_of = {"data_dir": str(Path(args.data_dir).resolve()), "hid_dim": args.hid_dim}
    if not path.exists():
        test = load_h36m(args.data_dir, subjects=TEST_SUBJECTS)
        recipe = CODES[code]
        made = _train_ours(args, network, seed, test) if recipe is None else _train_published(args, network, seed, test, recipe)
        write_text(path, json.dumps(made_of | {"errors_mm": made}) + "\n")
    found = read_results(path)
    for name, value in made_of.items():
        if found.get(name) != value:
            raise DuaError(f"{path} is of --{name} {found.get(name)}, not {value}; choose another folder with --out")
    errors = found["errors_mm"]
    if len(errors) < args.epochs:
        raise DuaError(f"{path} is of {len(errors)} epochs, not of {args.epochs}; choose another folder with --out")
    return errors


def test_errors(lifter: nn.Module, test: Poses) -> tuple[float, float]:
    lifter.eval()
    poses_3d, _ = predict({"lifter": lifter}, test.inputs_2d.contiguous(), _CPU)
    return tuple(float(error(poses_3d, test.targets_3d).double().mean()) * 1000 for error in (mpjpe, p_mpjpe))


def _train_ours(args: argparse.Namespace, network: str, seed: int, test: Poses) -> Errors:
    command = [SCRIPTS[network], "--data_dir", str(Path(args.data_dir).resolve()), "--device", "cpu", "--seed", str(seed)]
    command += ["--select", "last", "--snapshot", "1", "--epochs", str(args.epochs), *_width(args)]
    run = one_run(command, args.out.resolve() / network / "ours" / f"seed_{seed}", "results.json")
    errors = []
    for epoch in range(1, args.epochs + 1):
        file = run / f"snapshot_epoch_{epoch}.pth.tar"
        errors.append(test_errors(rebuild_networks(load_checkpoint(file), file)["lifter"], test))
    return errors


def _train_published(args: argparse.Namespace, network: str, seed: int, test: Poses, recipe: Recipe) -> Errors:
    poses = load_h36m(args.data_dir, subjects=TRAIN_SUBJECTS)
    inputs_2d, targets_3d = poses.inputs_2d.contiguous(), poses.targets_3d.contiguous()
    torch.manual_seed(seed)
    lifter, estimator = new_networks(network, _width(args), recipe)
    clipped = [*lifter.parameters(), *(estimator.parameters() if recipe.clips_all else ())]
    optimizer = torch.optim.Adam([*lifter.parameters(), *estimator.parameters()], lr=_LR)
    step, errors = 0, []
    for _ in range(args.epochs):
        lifter.train()
        estimator.train()
        order = torch.randperm(len(poses))
        for rows in order.split(_BATCH):
            if len(rows) < _BATCH and (network == "martinez" or recipe.full_batches):
                continue
            step += 1
            if step == 1 or step % 100_000 == 0:
                for group in optimizer.param_groups:
                    group["lr"] = _LR * 0.96 ** (step / 100_000)
            optimizer.zero_grad()
            loss(lifter, estimator, inputs_2d[rows], targets_3d[rows], recipe).backward()
            nn.utils.clip_grad_norm_(clipped, max_norm=1)
            optimizer.step()
        errors.append(test_errors(lifter, test))
    return errors


def new_networks(network: str, options: list[str], recipe: Recipe = Recipe()) -> tuple[nn.Module, nn.Module]:
    """Lifting network and estimator, as published, with weights drawn as published."""
    parser = training_parser(None, checkpoint="", epochs=1)
    add_network_arguments(parser, network)
    description = lifter_description(parse_arguments(parser, options), network)
    scale = {} if recipe.hidden_scale is None else {"hidden_scale": recipe.hidden_scale}
    ours = {"lifter": build(description), "uncertainty": build(uncertainty_description(description) | scale)}
    lifter, estimator = as_published(ours)
    if recipe.hidden_scale is None:  # the transcription keeps weights as they act
        return lifter, ours["uncertainty"]
    if network == "martinez":
        for joint in estimator.joints:
            nn.init.kaiming_normal_(joint.weight)
    return lifter, estimator


def loss(lifter: nn.Module, estimator: nn.Module, inputs_2d: Tensor, targets_3d: Tensor, recipe: Recipe = Recipe()) -> Tensor:
    """(B, 16, 2), (B, 16, 3) -> scalar."""
    if isinstance(lifter, PublishedSemGCN):
        outputs_3d, features = lifter.uncentred(inputs_2d)  # (B, 16, 3), (B, 16 * width)
        poses_3d = outputs_3d - outputs_3d[:, :1]
        truth = relative_error(poses_3d.detach(), targets_3d)  # (B, 16), 0 for the hip
        of_errors = torch.mean(torch.abs(estimator(features) - truth))
        of_poses = F.mse_loss(poses_3d[:, 1:], targets_3d[:, 1:]) if recipe.mse else F.l1_loss(outputs_3d, targets_3d)
        return of_poses + recipe.weight * of_errors
    poses_3d, features = lifter(inputs_2d)
    truth = relative_error(poses_3d.detach() if recipe.detached else poses_3d, targets_3d)[:, 1:]
    of_errors = torch.mean(torch.abs(estimator(features)[:, 1:] - truth))
    return F.l1_loss(poses_3d[:, 1:], targets_3d[:, 1:]) + recipe.weight * of_errors


def _width(args: argparse.Namespace) -> list[str]:
    return ["--hid_dim", str(args.hid_dim)] if args.hid_dim else []


if __name__ == "__main__":
    run_script(main)
