"""DUA's pose converter: poses of one skeleton's definition to the other's, from pairs of the same bodies.

    python conversion.py --epochs 200 --checkpoint 'checkpoint/conversion_h36m_to_smpl/' --format 'h36m'
    python conversion.py --format smpl --architecture map
    python conversion.py --format h36m --data_dir data/demo
    python conversion.py --format h36m --start random            # as published: from random weights, for all --epochs
    python conversion.py --evaluate checkpoint/conversion        # the newest run in there, or one: checkpoint/conversion/<run>

`--format h36m` makes Human3.6M's skeleton of SMPL's, `--format smpl` the other way round. Manesco et al., Sensors 2023,
23(17), 7312; loss 0.9 MSE + 0.1 L1. The converter is linear, so least squares gives the one of the least squared error in closed
form. Training starts there, and ends once an epoch lowers the error on held-out pairs by less than a thousandth (`--settled`), or
after `--epochs`; the start is kept where no epoch is better. The closed form is printed beside the trained converter, which must come
within a few percent of it.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import math
from collections.abc import Sequence as SequenceOf
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.adaptation.converter import CHECK, FORMATS, TOLERANCE, failed_check, least_squares
from common.compute.distributed import run_together
from common.datasets.batches import ShuffledBatches
from common.datasets.h36m import TRAIN_SUBJECTS
from common.datasets.poses import Sequence, training_split
from common.datasets.smpl import load_pairs
from common.evaluation.evaluate import Validation
from common.evaluation.metrics import joint_errors, mpjpe, p_mpjpe
from common.geometry.skeleton import JOINT_NAMES
from common.training.arguments import parse_arguments, training_parser
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from common.training.experiment import Experiment
from common.training.loop import steps_per_epoch
from common.training.run_log import write_results
from models.pose_converter import ARCHITECTURES, PoseConverter

STARTS = ("least_squares", "identity", "random")
_SETTLED = 1e-3
# From the closed form, steps of 1e-3 would first lead away: their noise is that of 6 mm. Small and of many pairs, they do not.
_LARGEST_BATCH, _LR = 1024, 3e-5
_COLUMNS = ("before", "after", "least squares")


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/conversion", epochs=10)
    parser.add_argument("--format", choices=list(FORMATS), default="h36m", help="skeleton that comes out (default: %(default)s)")
    parser.add_argument(
        "--architecture",
        choices=ARCHITECTURES,
        default="residual",
        help="residual: all coordinates mix; map: only those of an axis (default: %(default)s)",
    )
    parser.add_argument(
        "--smpl_shoulders",
        choices=("shoulder", "collar"),
        default="shoulder",
        help="SMPL joints that count as shoulders; the published code takes the collars (default: %(default)s)",
    )
    parser.add_argument(
        "--start",
        choices=STARTS,
        default="least_squares",
        help=f"weights to begin with: the closed form (with --lr {_LR} and batches of up to {_LARGEST_BATCH} pairs), no correction at all, or random "
        "ones on inputs that are not whitened, as published (default: %(default)s)",
    )
    parser.add_argument(
        "--settled",
        type=float,
        default=None,
        help="end after an epoch that lowers the error on held-out pairs (with --select last: the training loss) by less than this share; 0: train "
        f"all --epochs (default: {_SETTLED} from the closed form, else 0)",
    )
    args = parse_arguments(parser, unread=("keypoints", "compile"))

    run = Experiment("conversion", args, network="converter", role="converter")
    source, made = FORMATS[args.format]
    # Pairs come from the training subjects alone: the test subjects' labels must not shape what is tested on them.
    pairs = load_pairs(args.data_dir, TRAIN_SUBJECTS, args.actions, args.downsample, args.smpl_shoulders)
    train, held = training_split(pairs, args.select)
    train, judged = train.to(run.device), (train if held is None else held).to(run.device)
    inputs, outputs = getattr(train, source), getattr(train, made)
    judged_in, judged_out = getattr(judged, source), getattr(judged, made)
    networks = run.networks(converter={"name": "converter", "num_joints": 16, "architecture": args.architecture})
    converter = networks["converter"]
    assert isinstance(converter, PoseConverter)
    closed_form = least_squares(inputs, outputs, args.architecture).to(run.device)
    from_closed_form = (
        args.start == "least_squares" and args.schedule == "published"
    )  # --schedule fast has its own batches and rate

    if not run.continues:
        if args.start == "random":
            converter.randomise()
        else:
            converter.whiten(inputs[:, 1:].flatten(1))
        if args.start == "least_squares":
            converter.become(closed_form)
        if from_closed_form and "batch_size" not in args.given:
            args.batch_size = 2 ** int(math.log2(min(len(train), _LARGEST_BATCH)))  # few pairs: still one batch
        if from_closed_form and "lr" not in args.given:
            args.lr = _LR
    if args.settled is None:
        args.settled = _SETTLED if from_closed_form else 0.0

    def loss(batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        x, y = batch  # (B, 16, 3), (B, 16, 3)
        converted = converter.convert(x)
        mse, l1 = F.mse_loss(converted[:, 1:], y[:, 1:]), F.l1_loss(converted[:, 1:], y[:, 1:])
        return {"loss": 0.9 * mse + 0.1 * l1, "mse": mse, "l1": l1, "mpjpe": mpjpe(converted, y).mean()}

    def validate() -> Validation:
        return Validation(conversion_errors(converter, judged_in, judged_out))

    if not args.evaluate:
        batches = ShuffledBatches(inputs, outputs, batch_size=args.batch_size, seed=args.seed)
        if "lr_decay" not in args.given and not run.continues:
            # A small convex problem is solved to its end: over the run the steps shrink to 0.96 ** 100, a sixtieth.
            args.lr_decay = max(1, args.epochs * steps_per_epoch(batches, args) // 100)
        run.train(
            batches,
            loss,
            validate if held is not None else None,
            skeleton=made,
            source=source,
            settles=args.settled if args.start == "least_squares" or args.settled else None,
            train=len(train),
            validation=0 if held is None else len(held),
            left_out=pairs.dropped,
        )
    checkpoint = load_checkpoint(run.file)
    trained = rebuild_networks(checkpoint, run.file)["converter"].to(run.device)
    assert isinstance(trained, PoseConverter)
    if not args.evaluate and not trained.knows_its_inputs():  # of --start random; predictions are converted by their moments
        same = PoseConverter(trained.num_joints, trained.architecture)
        same.whiten(inputs[:, 1:].flatten(1))
        same.become(trained)
        checkpoint["weights"]["converter"] = same.state_dict()
        trained = same.to(run.device)
    report = print_report(
        args.format, held is not None, judged.sequences, judged_in, judged_out, trained, closed_form, (inputs, outputs)
    )
    if not args.evaluate:  # before conversion.json, which says that the run is done
        save_checkpoint(run.file, checkpoint | {CHECK: report["trained_against_least_squares"]})
    path = run.report_file("conversion", plain=True)
    write_results(path, run.tested_on | report)
    print(f"\n{path}")


@torch.no_grad()
def conversion_errors(converter: nn.Module, inputs: Tensor, outputs: Tensor) -> dict[str, float]:
    """MPJPE and P-MPJPE in millimetres of converted poses, named as `common.training.loop.Trainer` expects them."""
    converted = converter.convert(inputs)
    return {
        "val_mpjpe_mm": float(mpjpe(converted, outputs).double().mean()) * 1000,
        "val_p_mpjpe_mm": float(p_mpjpe(converted, outputs).double().mean()) * 1000,
    }


@torch.no_grad()
def print_report(
    made: str,
    held_out: bool,
    sequences: SequenceOf[Sequence],
    inputs: Tensor,
    outputs: Tensor,
    trained: nn.Module,
    closed_form: nn.Module,
    training_pairs: tuple[Tensor, Tensor],
) -> dict[str, Any]:
    """Print errors per joint and per action on held-out pairs, in millimetres; returns what `conversion.json` keeps of them.

    Without `held_out` (`--select last`) they are the training pairs, and it says so. Columns: the two skeletons as they are; after
    the trained converter; after the closed-form one. The two are compared on the pairs that both were fitted to as well: there a
    difference can only come of training.
    """
    predictions = (inputs, trained.convert(inputs), closed_form.convert(inputs))
    errors = [joint_errors(predicted, outputs).cpu().double() * 1000 for predicted in predictions]  # 3 x (N, 16)
    rows: dict[str, list[float]] = {}
    for joint, name in enumerate(JOINT_NAMES):
        rows[name] = [float(error[:, joint].mean()) for error in errors]
    actions: dict[str, list[Tensor]] = {}
    for sequence in sequences:
        actions.setdefault(sequence.base_action, []).append(torch.arange(sequence.start, sequence.stop))
    per_action = {action: [float(error[torch.cat(actions[action])].mean()) for error in errors] for action in sorted(actions)}
    mean = [float(error.mean()) for error in errors]

    width = max(len(name) for name in (*rows, *per_action, "all joints, all actions"))
    on = "held-out pairs" if held_out else "the training pairs (--select last: none is held out)"
    print(f"\nto the skeleton of {made}: distance of the two skeletons' joints on {on}, mm, by joint and by action\n")
    print(f"{'':<{width}}" + "".join(f"{title:>15}" for title in _COLUMNS))
    for block in (rows, per_action, {"all joints, all actions": mean}):
        for name, values in block.items():
            print(f"{name:<{width}}" + "".join(f"{value:15.1f}" for value in values))
        print("-" * (width + 15 * len(_COLUMNS)))
    fitted = [conversion_errors(converter, *training_pairs)["val_mpjpe_mm"] for converter in (trained, closed_form)]
    distances = {"held_out": mean[1] / mean[2] - 1, "training_pairs": fitted[0] / fitted[1] - 1}
    print(
        f"trained against least squares: {'held out' if held_out else 'on these'} {distances['held_out']:+.1%}, "
        f"on the training pairs {distances['training_pairs']:+.1%}"
    )
    if failed_check(distances):
        print(
            f"  that is more than {TOLERANCE:.0%}: training did not reach the best converter; train longer, --epochs, or --start least_squares"
        )
    return {
        "format": made,
        "columns": _COLUMNS,
        "unit": "mm",
        "joints": rows,
        "actions": per_action,
        "mean": mean,
        "trained_against_least_squares": distances,
    }


if __name__ == "__main__":
    run_script(main, run_together)
