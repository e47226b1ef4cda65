"""Training a lifting network with its uncertainty estimator on one data set: what three experiments share around their loss."""

from collections.abc import Callable

from torch import Tensor

from common.datasets.block_batches import make_batches
from common.datasets.poses import Poses, training_split
from common.datasets.streamed import Streamed, brought_into_memory
from common.evaluation.evaluate import Validation, validate
from common.evaluation.metrics import mpjpe
from common.training.arguments import Arguments
from common.training.experiment import Experiment
from common.training.loop import Batches
from common.training.networks import lifter_description, uncertainty_description
from common.training.trained_range import Span, TrainedRange, focal_span

Objective = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]
"""(poses_3d (B, 16, 3), targets_3d (B, 16, 3), the estimator's output (B, 16)) -> {"loss": what is minimised, and its terms}."""


def train_in_domain(
    run: Experiment, args: Arguments, network: str, poses: Poses | Streamed[Poses], skeleton: str, objective: Objective
) -> None:
    """Cut a validation split from `poses`, train on the rest, keep the epoch with the least validation error (but see `--select`).

    Args:
        network: 'martinez' or 'semgcn'.
        poses: of the training subjects or clips alone.
        skeleton: whose joints they are, 'h36m' or 'smpl'.
        objective: the experiment's loss.
    """
    train, held_out = training_split(poses, args.select)
    validation = None if held_out is None else brought_into_memory(held_out, "validation")
    batches = make_batches(train, lambda poses: (poses.inputs_2d, poses.targets_3d), args, run.device)
    if isinstance(train, Streamed):
        print(batches.describe())
    cameras = focal_span(train.sequences)
    train_on_batches(run, args, network, batches, validation, skeleton, poses.name, objective, cameras, train=len(train))


def train_on_batches(
    run: Experiment,
    args: Arguments,
    network: str,
    batches: Batches,
    held_out: Poses | None,
    skeleton: str,
    source: str,
    objective: Objective,
    cameras: Span,
    train: int,
) -> None:
    """Train on batches of inputs_2d and targets_3d, keep the epoch with the least error on `held_out`, or without it the last.

    Args:
        held_out: as the batches show poses.
        source: the data set's name.
        cameras: least and largest focal length of those that the batches see through, in screen coordinates.
        train: poses that are trained on.
    """
    validation = None if held_out is None else held_out.to(run.device)
    lifter = lifter_description(args, network)
    networks = run.networks(lifter=lifter, uncertainty=uncertainty_description(lifter, args.uncertainty_loss))

    def loss(batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        inputs_2d, targets_3d = batch  # (B, 16, 2), (B, 16, 3)
        poses_3d, features = networks["lifter"](inputs_2d)
        terms = objective(poses_3d, targets_3d, networks["uncertainty"](features))
        return {**terms, "mpjpe": mpjpe(poses_3d, targets_3d).mean()}

    def validate_epoch() -> Validation:
        assert validation is not None
        return validate(networks, validation, run.device)

    def seen() -> TrainedRange:
        return TrainedRange.of(batches, cameras)

    chooses, held = (None, 0) if validation is None else (validate_epoch, len(validation))
    run.train(batches, loss, chooses, skeleton=skeleton, source=source, seen=seen, train=train, validation=held)
