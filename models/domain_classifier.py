"""The domain classifier of DUA, and the gradient reversal that turns it against the lifting network."""

import math
from typing import Any

import torch
from torch import Tensor, nn


class DomainClassifier(nn.Module):
    """Which data set a predicted pose, or the features it is made of, comes from (Manesco et al., Sensors 2023, 23, 7312).

    BatchNorm takes its statistics from the batch, so source and target poses go in together: apart, each batch would be
    centred by itself, and what tells the domains apart would be gone.

    Args:
        num_joints: joints of the skeleton, hip first; the hip, always 0, is not given to the classifier.
        hid_dim: width of both hidden layers (128 in the published code).
        feature_size: numbers per pose of the lifting network's features, if those are told apart and not its poses.

    Shape:
        (N, (J - 1) * 3) metres from the hip, or (N, feature_size) -> (N,) logits; a positive one says source (label 1), a negative
        one target (0).
    """

    def __init__(self, num_joints: int = 16, hid_dim: int = 128, feature_size: int | None = None) -> None:
        super().__init__()
        self.num_joints = num_joints
        self.layers = nn.Sequential(
            nn.Linear(feature_size or (num_joints - 1) * 3, hid_dim),
            nn.BatchNorm1d(hid_dim),
            nn.ReLU(),
            nn.Linear(hid_dim, hid_dim),
            nn.BatchNorm1d(hid_dim),
            nn.ReLU(),
            nn.Linear(hid_dim, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, vectors: Tensor) -> Tensor:
        return self.layers(vectors).squeeze(1)  # (N, 45) -> (N, 1) -> (N,)


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficient: float) -> Tensor:
        ctx.coefficient = coefficient
        return x.view_as(x)  # not x itself: autograd takes a returned input for a function that did nothing

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * -ctx.coefficient, None


def reverse_gradient(x: Tensor, coefficient: float = 1.0) -> Tensor:
    """`x` itself; on the way back its gradient is multiplied by -coefficient.

    What comes after learns to tell the domains apart, what comes before learns to make that hard (Ganin and Lempitsky,
    "Unsupervised Domain Adaptation by Backpropagation", ICML 2015).
    """
    reversed_x: Tensor = _ReverseGradient.apply(x, coefficient)
    return reversed_x


def warm_start(step: int, alpha: float = 1.0, low: float = 0.0, high: float = 1.0, max_steps: int = 1000) -> float:
    """Coefficient of `reverse_gradient` at a step: 2 (high - low) / (1 + exp(-alpha step / max_steps)) - (high - low) + low.

    It is `low` at step 0 and tends to `high`: the classifier's first gradients are noise and should not reach the lifting
    network. `max_steps` is the scale of the rise and not its end: with alpha = 1, 46 % of the way is done there, and
    99 % after 5.3 times as many steps.
    """
    return 2 * (high - low) / (1 + math.exp(-alpha * step / max_steps)) - (high - low) + low
