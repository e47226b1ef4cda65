"""DUA by its published protocol, which looks at the target's labels: an oracle, to be seen beside what the training scripts do without.

    python benchmarks/oracle.py --source surreal --data_dir data/demo --epochs 6
    python benchmarks/oracle.py --source h36m --data_dir data/demo --epochs 6

As `train_surreal.py --dua` and `train_h36m_dan.py` but for two things, which the published training does (docs/differences.md): errors of
the target's predicted poses, against their labels, are in the uncertainty loss; and the epoch is kept that has the least error on the
target's test. As there, the error of Martinez's poses is not detached, so that the labels train the lifting network as well.

No result of this is a measure of unsupervised adaptation. It is here, and not an option of the training scripts, because those
cannot read a label of the target.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import torch
from torch import Tensor, nn

from common.adaptation.beyond import add_adaptation_arguments
from common.adaptation.converter import convert_labels, find_or_train_converter, tests_of_surreal
from common.adaptation.dua import dua_descriptions, dua_loss, select_validation
from common.adaptation.options import add_dua_arguments
from common.datasets.batches import DomainBatches
from common.datasets.block_batches import make_batches
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m
from common.datasets.poses import Poses, training_split
from common.datasets.surreal import load_surreal
from common.errors import DuaError
from common.evaluation.losses import UNCERTAINTY_WEIGHTS, relative_error
from common.training.arguments import Arguments, options_of, parse_arguments, training_parser
from common.training.experiment import Experiment
from common.training.networks import add_network_arguments
from common.training.trained_range import TrainedRange, focal_span

NAME = "oracle, target labels in the loss"


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/oracle", epochs=200, surreal=True, adapts=True)
    parser.add_argument("--source", choices=("surreal", "h36m"), default="surreal", help="whose labels are learnt by right")
    parser.set_defaults(select="target")
    add_network_arguments(parser)
    add_dua_arguments(parser)
    args = parse_arguments(parser)
    check_protocol(args)

    run = Experiment("oracle", args, network=None)
    print(f"{NAME}: this is no unsupervised adaptation")
    converter = run.freeze("converter", *(run.stored("converter") or find_or_train_converter(args.converter, "h36m", args)))

    def h36m(subjects: Sequence[str]) -> Poses:
        return load_h36m(args.data_dir, args.keypoints, subjects, downsample=args.downsample)

    def surreal(split: str) -> Poses:
        return load_surreal(args.data_dir, split, args.smpl_shoulders, args.downsample, keypoints=args.keypoints)

    h36m_test, surreal_test = h36m(TEST_SUBJECTS), surreal("test")
    tests = {"h36m, S9 and S11": h36m_test} if args.source == "surreal" else tests_of_surreal(surreal_test, converter)
    if args.evaluate:
        run.report(tests)
        return
    both = (convert_labels(surreal("train"), converter), h36m(TRAIN_SUBJECTS))
    source, target = both if args.source == "surreal" else both[::-1]

    train, validation = training_split(source, args.select)
    assert validation is not None
    chosen_on = validation.to(run.device)
    networks = run.networks(**dua_descriptions(args))
    batches = DomainBatches(
        *(make_batches(poses, labelled, args, run.device, stream) for stream, poses in enumerate((train, target)))
    )
    told = PublishedUncertainty(networks["uncertainty"], args)

    def loss(batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        return dua_loss(args, networks, batch, step, [told])

    tested = next(iter(tests.values()))
    run.train(
        batches,
        loss,
        select_validation(args, run, networks, lambda: chosen_on, tested),
        skeleton="h36m",
        source=source.name,
        target=target.name,
        seen=lambda: TrainedRange.of(batches, focal_span((*train.sequences, *tested.sequences))),
        source_train=len(train),
        source_validation=len(validation),
        target_train_labelled=len(target),
    )
    run.report(tests)


def check_protocol(args: Arguments) -> None:
    """Raise a `DuaError` for options that the published protocol does not have, or that this leaves unread."""
    if not (args.converter_on and args.uncertainty_on and args.domain_on):
        raise DuaError("the published protocol has DUA's three modules; leave out what switches one off")
    if args.select != "target":
        raise DuaError(f"--select {args.select}: the published protocol chooses the epoch by the target's labels; leave it out")
    useless = [name for name in ("actions", "stream", *options_of(add_adaptation_arguments)) if name in args.given]
    if useless:
        raise DuaError(f"{', '.join(f'--{name}' for name in useless)}: not of the published protocol; leave it out")


def labelled(poses: Poses) -> tuple[Tensor, Tensor]:
    return poses.inputs_2d, poses.targets_3d


class PublishedUncertainty:
    """What the published `train_surreal_dan.py` adds of the target, as a term of `common.adaptation.dua.dua_loss`."""

    def __init__(self, estimator: nn.Module, args: argparse.Namespace) -> None:
        self.estimator = estimator
        self.detached = args.network != "martinez"
        self.weight = UNCERTAINTY_WEIGHTS["DUA"] if args.uncertainty_weight is None else args.uncertainty_weight

    def __call__(self, poses_t: Tensor, features_t: Tensor, target: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        """Shape: poses_t (B, 16, 3), features_t (B, F), target inputs (B, 16, 2) and labels (B, 16, 3)."""
        _, targets_t = target
        truth = relative_error(poses_t.detach() if self.detached else poses_t, targets_t)
        term = torch.mean(torch.abs(self.estimator(features_t)[:, 1:] - truth[:, 1:]))
        return {"loss": self.weight * term, "target_uncertainty_loss": term}


if __name__ == "__main__":
    run_script(main)
