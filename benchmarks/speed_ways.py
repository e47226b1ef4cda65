"""The three ways to train and evaluate that `benchmarks/speed.py` compares, each as functions that do so many steps."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from benchmarks import published_step
from benchmarks.published_networks import as_published
from common.compute.device import choose_precision
from common.datasets.batches import ShuffledBatches
from common.datasets.poses import Poses, Sequence
from common.evaluation.evaluate import Validation, validation_errors
from common.evaluation.losses import UNCERTAINTY_WEIGHTS, uncertainty_loss
from common.evaluation.metrics import mpjpe
from common.geometry.skeleton import NUM_JOINTS
from common.training.arguments import Arguments, parse_arguments, training_parser
from common.training.loop import Trainer
from common.training.networks import add_network_arguments, lifter_description, uncertainty_description
from models import build

NETWORKS = {"martinez": (), "semgcn": ("--non_local",)}
"""{network: options that it is measured with}."""


class Way(NamedTuple):
    """Functions of a number of batches.

    Attributes:
        train: makes so many steps; returns their mean loss.
        evaluate: evaluates about so many batches; returns for how many poses, their MPJPE and P-MPJPE in mm (0 where a way has none).
    """

    train: Callable[[int], float]
    evaluate: Callable[[int], tuple[int, float, float]]


class Setting(NamedTuple):
    """What all ways share: the network by name, {role: network} with the weights to begin with, data, batch and device."""

    network: str
    networks: dict[str, nn.Module]
    train: Poses
    test: Poses
    batch_size: int
    device: torch.device
    options: tuple[str, ...] = ()
    """Of the training scripts, for our own way."""

    def objective(self, poses_3d: Tensor, targets_3d: Tensor, estimated: Tensor) -> Tensor:
        """The loss of `main_prob.py` and `main_gcn_prob.py`."""
        pose_loss = F.l1_loss if self.network == "martinez" else F.mse_loss
        pose = pose_loss(poses_3d[:, 1:], targets_3d[:, 1:])
        return pose + UNCERTAINTY_WEIGHTS["in domain"] * uncertainty_loss(estimated, poses_3d, targets_3d)


def arguments(network: str, batch_size: int | None, *options: str) -> Arguments:
    """The options of a training script, most at their defaults; `batch_size` None leaves that to the options, too."""
    parser = training_parser(None, checkpoint="", epochs=1)
    add_network_arguments(parser, network)
    batch = [] if batch_size is None else ["--batch_size", str(batch_size)]
    return parse_arguments(parser, [*batch, *NETWORKS[network], *options])


def new_networks(network: str, device: torch.device, *options: str) -> dict[str, nn.Module]:
    """The lifting network and its estimator, with the same weights in every call."""
    torch.manual_seed(0)
    lifter = lifter_description(arguments(network, 2, *options), network)
    return {
        "lifter": build(lifter).to(device),
        # Weights kept as they act, as published, so that all ways go the same way; it costs nothing either way.
        "uncertainty": build(uncertainty_description(lifter) | {"hidden_scale": 1.0}).to(device),
    }


def random_poses(count: int) -> Poses:
    """Where nothing depends on what the poses are."""
    clip = Sequence("S1", "Walking", "0", 0, count, (1000, 1002))
    return Poses("random", 0.3 * torch.randn(count, NUM_JOINTS, 2), 0.3 * torch.randn(count, NUM_JOINTS, 3), (clip,))


def published(setting: Setting, workers: int) -> Way:
    """As the published code does it."""
    lifter, estimator = (network.to(setting.device) for network in as_published(setting.networks))
    optimizer = torch.optim.Adam([*lifter.parameters(), *estimator.parameters()], lr=1e-3)
    batches = {
        split: published_step.endless(
            samples(poses), min(setting.batch_size, len(poses)), split == "train", workers, setting.device
        )
        for split, poses in (("train", setting.train), ("test", setting.test))
    }
    done = 0

    def train(steps: int) -> float:
        nonlocal done
        lifter.train()
        estimator.train()
        total = 0.0
        for _ in range(steps):
            batch = next(batches["train"])
            total += published_step.train_step(batch, lifter, estimator, setting.objective, optimizer, done, setting.device)
            done += 1
        return total / steps

    def evaluate(steps: int) -> tuple[int, float, float]:
        lifter.eval()
        estimator.eval()
        errors, poses = [], 0
        for _ in range(steps):
            batch = next(batches["test"])
            errors.append(published_step.evaluate_batch(batch, lifter, estimator, setting.device))
            poses += len(batch[0])
        return poses, *(1000 * sum(column) / steps for column in zip(*errors, strict=True))

    return Way(train, evaluate)


def samples(poses: Poses) -> published_step.PoseSamples:
    actions = [sequence.action for sequence in poses.sequences for _ in range(sequence.start, sequence.stop)]
    return published_step.PoseSamples(poses.inputs_2d.cpu().numpy(), poses.targets_3d.cpu().numpy(), actions)


def ours(setting: Setting) -> Way:
    """The project's own loop, batches and evaluation."""
    networks, data = setting.networks, setting.train.to(setting.device)
    batches = ShuffledBatches(data.inputs_2d, data.targets_3d, batch_size=setting.batch_size, seed=0)

    def loss(batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        inputs_2d, targets_3d = batch
        poses_3d, features = networks["lifter"](inputs_2d)
        value = setting.objective(poses_3d, targets_3d, networks["uncertainty"](features))
        return {"loss": value, "mpjpe": mpjpe(poses_3d, targets_3d).mean()}

    def evaluate(steps: int) -> tuple[int, float, float]:
        for network in networks.values():
            network.eval()
        rows = slice(0, steps * setting.batch_size)
        some = Poses(setting.test.name, setting.test.inputs_2d[rows], setting.test.targets_3d[rows], ())
        return len(some), *validation_errors(networks, some, setting.device).values()

    return Way(trainer_steps(setting, batches, loss), evaluate)


def trainer_steps(setting: Setting, batches: ShuffledBatches, loss: Callable) -> Callable[[int], float]:
    """The training loop as a function of a number of steps: the one place that knows the `Trainer` from inside."""
    args = arguments(setting.network, setting.batch_size, *setting.options)
    args.precision = choose_precision(args.precision, setting.device)  # as `Experiment` does
    trainer = Trainer(setting.networks, {}, batches, loss, lambda: Validation({}), args, setting.device, Path(), {})

    def train(steps: int) -> float:
        total, last = 0.0, trainer.optimisation.count + steps
        while trainer.optimisation.count < last:
            trainer.epoch, trainer.batch = divmod(trainer.optimisation.count, batches.steps)
            trainer.steps, trainer.sums = min(trainer.batch + last - trainer.optimisation.count, batches.steps), {}
            with tqdm(disable=True) as bar:
                trainer._train_epoch(bar, lambda: False)
            total += trainer.sums["loss"]
        return total / steps

    return train


def floor(setting: Setting) -> Way:
    """Forward, backward and fused Adam on one batch in memory; forward alone for evaluation. No data is chosen, no gradient clipped,
    nothing summed, no error counted."""
    networks = setting.networks
    parameters = [parameter for network in networks.values() for parameter in network.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
    inputs_2d = setting.train.inputs_2d[: setting.batch_size].to(setting.device)
    targets_3d = setting.train.targets_3d[: setting.batch_size].to(setting.device)

    def train(steps: int) -> float:
        for network in networks.values():
            network.train()
        for _ in range(steps):
            poses_3d, features = networks["lifter"](inputs_2d)
            loss = setting.objective(poses_3d, targets_3d, networks["uncertainty"](features))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return loss.item()

    @torch.no_grad()
    def evaluate(steps: int) -> tuple[int, float, float]:
        for network in networks.values():
            network.eval()
        for _ in range(steps):
            networks["uncertainty"](networks["lifter"](inputs_2d)[1])
        return steps * setting.batch_size, 0.0, 0.0

    return Way(train, evaluate)
