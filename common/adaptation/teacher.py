"""`--teacher`: a running average of the networks predicts other views of the target's 2D, and the student has to agree with it on the plain
one (Tarvainen and Valpola, "Mean teachers are better role models", NIPS 2017), more where the estimator expects small errors."""

import argparse
import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.compute.device import full_precision, generator_of
from common.compute.distributed import rank, world_size
from common.datasets.views import AS_IT_IS, Scale
from common.errors import DuaError
from common.evaluation.test_time import mirrored
from common.geometry.skeleton import MIRROR
from common.mocap.filming import about
from common.training.experiment import Experiment
from common.training.facts import TEACHERS
from common.training.optimisation import Average, floats, follow
from models.domain_norm import select_domain

_ROLL = 5.0
"""Degrees: most roll of the turned views, either way."""
_HALF = 0.05
"""Metres: a joint whose error is expected to be as large counts half."""


def add_teacher_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--teacher",
        action="store_true",
        help="on the target, networks have to agree with what their running average makes of mirrored and turned pictures",
    )
    group.add_argument("--teacher_weight", type=float, default=0.1, help="of that loss (default: %(default)s)")
    group.add_argument(
        "--teacher_decay", type=float, default=Average.DECAY, help="of the running average, a step (default: %(default)s)"
    )
    group.add_argument(
        "--teacher_warmup", type=int, default=500, help="steps in which that weight rises from 0 (default: %(default)s)"
    )


def check_teacher(args: argparse.Namespace) -> None:
    """Raise a `DuaError` for a decay that is none."""
    if not 0 <= args.teacher_decay < 1:
        raise DuaError(f"--teacher_decay {args.teacher_decay:g}: at least 0 and less than 1 is needed")


class Teacher:
    """The running averages, and the loss of a target batch.

    Averages are of weights and of BatchNorm's statistics, and predict as tests do: without dropout, with those statistics (with
    `--domain_bn` the target's).

    Args:
        networks: the averages, of the roles that students have too: "lifter" and, where there is one, "uncertainty".
        students: {role: network} that are trained.
        weight, decay, warm_up: the options of `add_teacher_arguments`.
        seed: of the run; what is drawn depends on it and the step alone.
        scale: what is done to 2D before a network sees it; to turned pictures too, whose boxes are others.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        students: Mapping[str, nn.Module],
        weight: float,
        decay: float,
        warm_up: int,
        seed: int,
        scale: Scale = AS_IT_IS,
    ) -> None:
        self.networks = networks
        self.weight, self.decay, self.warm_up = weight, decay, warm_up
        self._seed = seed
        self._scale = scale
        self._average = [tensor for network in networks.values() for tensor in floats(network)]
        self._live = [tensor for role in networks for tensor in floats(students[role])]
        select_domain(networks["lifter"], "target")

    @classmethod
    def of(
        cls,
        run: Experiment,
        args: argparse.Namespace,
        students: Mapping[str, nn.Module],
        descriptions: Mapping[str, dict[str, Any]],
    ) -> "Teacher":
        """The checkpoint's, or one that starts as the students do; in the run's checkpoints from now on."""
        networks = {}
        for role, name in TEACHERS.items():
            if role in students:
                stored = run.stored(name) or (copy.deepcopy(students[role]), descriptions[role])
                networks[role] = run.freeze(name, *stored)
        scale = Scale.of(vars(args))
        return cls(networks, students, args.teacher_weight, args.teacher_decay, args.teacher_warmup, args.seed, scale)

    def follow(self, steps: int) -> None:
        """Take in the students' weights after `steps` steps."""
        follow(self._average, self._live, steps, self.decay)

    def __call__(self, poses_t: Tensor, features_t: Tensor, target: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        """Terms for `common.adaptation.dua.dua_loss`, of the student's poses (B, 16, 3) and inputs and intrinsics of the target.

        The loss is a mean over poses and the joints that are not the hip, of weight times distance in metres; the weights are not
        normalised, so that it is the mean of its shares in several processes.
        """
        inputs, intrinsics, *_ = target
        poses, weights = self.predict(inputs, intrinsics, self.angles(len(inputs), step))
        distances = torch.linalg.vector_norm(poses_t - poses, dim=-1)
        loss = (weights * distances)[:, 1:].mean()
        ramp = min(1.0, step / self.warm_up) if self.warm_up else 1.0
        return {"loss": self.weight * ramp * loss, "teacher_loss": loss, "teacher_trust": weights[:, 1:].mean()}

    def angles(self, count: int, step: int) -> Tensor:
        """(count,) radians of roll, drawn for the whole batch, of which this process has `count` rows."""
        generator = generator_of((self._seed * 1_000_003 + step) * 4 + 2)
        drawn = torch.rand(count * world_size(), generator=generator)[count * rank() : count * (rank() + 1)]
        return math.radians(_ROLL) * (2 * drawn - 1)

    @torch.no_grad()
    def predict(self, inputs_t: Tensor, intrinsics_t: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 16, 3) means of what the teacher makes of the mirrored and of the rolled pictures, brought back, and (B, 16) weights.

        A camera that is rolled about its optical axis turns rays and poses alike; so it is exact, but for what little lens distortion
        is not round the middle. Pictures that were brought to one size (`--scale`) come with the intrinsics of the lens that shows them so
        (`Scale.with_lens`), are rolled, and brought to that size again.

        Shape:
            inputs_t (B, 16, 2), intrinsics_t (B, 4), angles (B,) radians.
        """
        rolls = about(2, angles).to(inputs_t)
        focal, center = intrinsics_t[:, None, :2], intrinsics_t[:, None, 2:]
        with full_precision(inputs_t.device):
            rays = (inputs_t - center) / focal
            rolled = self._scale(torch.einsum("nij,nkj->nki", rolls[:, :2, :2], rays) * focal + center)
        poses, features = self.networks["lifter"](torch.cat([mirrored(inputs_t), rolled]))
        of_mirrored, of_rolled = poses.to(inputs_t).chunk(2)
        with full_precision(inputs_t.device):
            mean = (mirrored(of_mirrored) + torch.einsum("nji,nkj->nki", rolls, of_rolled)) / 2
        estimator = self.networks.get("uncertainty")
        if estimator is None:
            return mean, torch.ones_like(mean[..., 0])
        errors = expected_error(estimator(features).to(inputs_t), poses.to(inputs_t), str(estimator.unit))
        of_mirrored, of_rolled = errors.chunk(2)
        return mean, trust((of_mirrored[:, MIRROR] + of_rolled) / 2)


def expected_error(uncertainty: Tensor, poses_3d: Tensor, unit: str) -> Tensor:
    """(N, J) metres that an estimator's output stands for: of a relative error u = |p - t| / (|p| + |t|) about 2 u |p|, of a Gaussian's
    spread the mean length of its vectors."""
    if unit == "relative":
        return 2 * uncertainty * torch.linalg.vector_norm(poses_3d, dim=-1)
    return math.sqrt(8 / math.pi) * uncertainty


def trust(errors: Tensor) -> Tensor:
    """Weights c / (c + e) in (0, 1] of expected errors e in metres, with c = 5 cm."""
    return _HALF / (_HALF + errors)
