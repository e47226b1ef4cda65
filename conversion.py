"""DUA's pose converter: poses of one skeleton's definition to the other's, from pairs of the same bodies.

    python conversion.py --epochs 200 --checkpoint 'checkpoint/conversion_h36m_to_smpl/' --format 'h36m'
    python conversion.py --format smpl --architecture map
    python conversion.py --format h36m --data_dir data/demo
    python conversion.py --evaluate checkpoint/conversion        # the newest run in there, or one: checkpoint/conversion/<run>

`--format h36m` makes Human3.6M's skeleton of SMPL's, `--format smpl` the other way round. Manesco et al., Sensors 2023,
23(17), 7312; loss 0.9 MSE + 0.1 L1. The converter is linear, so least squares gives the best one in closed form: it is
printed beside the trained one, which must come within a few percent of it.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import torch
from torch.nn import functional as F

from common.adaptation.conversion_report import conversion_errors, print_report
from common.adaptation.converter import CHECK, FORMATS, least_squares
from common.compute.distributed import run_together
from common.datasets.batches import ShuffledBatches
from common.datasets.h36m import TRAIN_SUBJECTS
from common.datasets.poses import training_split
from common.datasets.smpl import load_pairs
from common.evaluation.evaluate import Validation
from common.evaluation.metrics import mpjpe
from common.training.arguments import parse_arguments, training_parser
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from common.training.experiment import Experiment
from common.training.run_log import write_results
from models.pose_converter import ARCHITECTURES


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
    args = parse_arguments(parser)

    run = Experiment("conversion", args, network="converter", role="converter")
    source, made = FORMATS[args.format]
    # Pairs come from the training subjects alone: the test subjects' labels must not shape what is tested on them.
    pairs = load_pairs(args.data_dir, TRAIN_SUBJECTS, args.actions, args.downsample, args.smpl_shoulders)
    train, held = training_split(pairs, args.select)
    train, judged = train.to(run.device), (train if held is None else held).to(run.device)
    inputs, outputs = getattr(train, source), getattr(train, made)
    judged_in, judged_out = getattr(judged, source), getattr(judged, made)
    networks = run.networks(converter={"name": "converter", "num_joints": 16, "architecture": args.architecture})

    if not run.continues:
        networks["converter"].whiten(inputs[:, 1:].flatten(1))

    def loss(batch: tuple[torch.Tensor, ...], step: int) -> dict[str, torch.Tensor]:
        x, y = batch  # (B, 16, 3), (B, 16, 3)
        converted = networks["converter"].convert(x)
        mse, l1 = F.mse_loss(converted[:, 1:], y[:, 1:]), F.l1_loss(converted[:, 1:], y[:, 1:])
        return {"loss": 0.9 * mse + 0.1 * l1, "mse": mse, "l1": l1, "mpjpe": mpjpe(converted, y).mean()}

    def validate() -> Validation:
        return Validation(conversion_errors(networks["converter"], judged_in, judged_out))

    if not args.evaluate:
        batches = ShuffledBatches(inputs, outputs, batch_size=args.batch_size, seed=args.seed)
        if "lr_decay" not in args.given and not run.continues:
            # A small convex problem is solved to its end: over the run the steps shrink to 0.96 ** 100, a sixtieth.
            args.lr_decay = max(1, args.epochs * min(batches.steps, args.limit_batches or batches.steps) // 100)
        run.train(
            batches,
            loss,
            validate if held is not None else None,
            skeleton=made,
            source=source,
            train=len(train),
            validation=0 if held is None else len(held),
            left_out=pairs.dropped,
        )
    checkpoint = load_checkpoint(run.file)
    trained = rebuild_networks(checkpoint, run.file)["converter"].to(run.device)
    closed_form = least_squares(inputs, outputs, args.architecture).to(run.device)
    report = print_report(
        args.format, held is not None, judged.sequences, judged_in, judged_out, trained, closed_form, (inputs, outputs)
    )
    if not args.evaluate:  # before conversion.json, which says that the run is done
        save_checkpoint(run.file, checkpoint | {CHECK: report["trained_against_least_squares"]})
    path = run.report_file("conversion", plain=True)
    write_results(path, run.tested_on | report)
    print(f"\n{path}")


if __name__ == "__main__":
    run_script(main, run_together)
