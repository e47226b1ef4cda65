"""Training a lifting network with its uncertainty estimator on one data set: what three experiments share around their loss."""

from collections.abc import Callable

from torch import Tensor

from common.arguments import Arguments
from common.batches import ShuffledBatches
from common.evaluation import Validation, validate
from common.experiment import Experiment
from common.metrics import mpjpe
from common.networks import lifter_description, uncertainty_description
from common.poses import Poses, split_validation

Objective = Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]
"""(poses_3d (B, 16, 3), targets_3d (B, 16, 3), the estimator's output (B, 16)) -> {"loss": what is minimised, and its terms}."""


def train_in_domain(run: Experiment, args: Arguments, network: str, poses: Poses, skeleton: str, objective: Objective) -> None:
    """Cut a validation split from `poses`, train on the rest, keep the epoch with the least validation error.

    Args:
        network: 'martinez' or 'semgcn'.
        poses: of the training subjects or clips alone.
        skeleton: whose joints they are, 'h36m' or 'smpl'.
        objective: the experiment's loss.
    """
    train, validation = (split.to(run.device) for split in split_validation(poses))
    batches = ShuffledBatches(train.inputs_2d, train.targets_3d, batch_size=args.batch_size, seed=args.seed)
    lifter = lifter_description(args, network)
    networks = run.networks(lifter=lifter, uncertainty=uncertainty_description(lifter, args.uncertainty_loss))

    def loss(batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        inputs_2d, targets_3d = batch  # (B, 16, 2), (B, 16, 3)
        poses_3d, features = networks["lifter"](inputs_2d)
        terms = objective(poses_3d, targets_3d, networks["uncertainty"](features))
        return {**terms, "mpjpe": mpjpe(poses_3d, targets_3d).mean()}

    def validate_epoch() -> Validation:
        return validate(networks, validation, run.device)

    run.train(batches, loss, validate_epoch, skeleton=skeleton, source=poses.name, train=len(train), validation=len(validation))
