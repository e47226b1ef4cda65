"""The pieces that the scripts compose their losses of."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.domain_classifier import reverse_gradient


def relative_error(predicted: Tensor, target: Tensor) -> Tensor:
    """e = |p - t| / (|p| + |t|) of each joint, in [0, 1] by the triangle inequality (DUA, Manesco et al. 2023).

    Shape:
        (N, J, 3), (N, J, 3) -> (N, J); 0 where both joints lie in the hip.
    """
    error = torch.linalg.vector_norm(predicted - target, dim=-1)
    size = torch.linalg.vector_norm(predicted, dim=-1) + torch.linalg.vector_norm(target, dim=-1)
    return torch.where(size > 0, error / size.clamp_min(1e-12), torch.zeros_like(error))


def uncertainty_loss(uncertainty: Tensor, predicted: Tensor, target: Tensor) -> Tensor:
    """L1 between predicted and true relative error of the joints that are not the hip.

    The true error is a constant: the estimator learns to foresee errors, the lifting network is not asked to make
    foreseeable ones through it.

    Shape:
        uncertainty (N, J); poses (N, J, 3) -> scalar.
    """
    truth = relative_error(predicted.detach(), target)
    return torch.mean(torch.abs(uncertainty[:, 1:] - truth[:, 1:]))


def gaussian_nll(sigma: Tensor, predicted: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of the true joints under a Gaussian around the predicted ones, the same along every axis,

        3 log sigma + |p - t|^2 / (2 sigma^2) + 3/2 log 2 pi,

    in nats per joint that is not the hip (Nix and Weigend 1994; Kendall and Gal, NeurIPS 2017).

    The error is a constant, as in `uncertainty_loss`: with a gradient through it, joints would count by 1 / sigma^2 in the pose
    loss, and two ways to tell the error of one network could not be compared, as they would belong to two networks.

    Shape:
        sigma (N, J) metres; poses (N, J, 3) -> scalar.
    """
    squared = (predicted.detach() - target)[:, 1:].pow(2).sum(dim=-1)
    sigma = sigma[:, 1:]
    return torch.mean(3 * sigma.log() + squared / (2 * sigma.pow(2))) + 1.5 * math.log(2 * math.pi)


UNCERTAINTY_LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"relative": uncertainty_loss, "nll": gaussian_nll}
"""By `--uncertainty_loss`: (estimator's output, predicted, target) -> scalar."""
UNCERTAINTY_WEIGHTS = {"in domain": 0.1, "DUA": 0.001}
"""Of that loss beside the poses' where `--uncertainty_weight` is not given, as the paper has them."""


def domain_loss(classifier: nn.Module, source: Tensor, target: Tensor, coefficient: float) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy of telling the source's poses (label 1) from the target's (label 0), through gradient reversal.

    Both domains go through the classifier in one batch: its BatchNorm would otherwise centre each by itself.

    Args:
        coefficient: of the reversed gradient that reaches the lifting network (`models.domain_classifier.warm_start`).

    Shape:
        poses (N, J, 3), (M, J, 3) metres from the hip, or features (N, F), (M, F) -> scalar loss; scalar share that is told right.
    """
    vectors = torch.cat([source, target])
    if vectors.ndim == 3:
        vectors = vectors[:, 1:].flatten(1)  # (N + M, 45)
    logits = classifier(reverse_gradient(vectors, coefficient))
    labels = torch.cat([logits.new_ones(len(source)), logits.new_zeros(len(target))])
    accuracy = ((logits > 0) == (labels > 0.5)).to(logits.dtype).mean()
    return nn.functional.binary_cross_entropy_with_logits(logits, labels), accuracy


_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the Gaussian kernels, as factors of the mean squared distance within the batch (Long et al. 2015 take a range of
powers of two about it)."""


def coral(features_s: Tensor, features_t: Tensor) -> Tensor:
    """Squared Frobenius distance of the two covariances over 4 F^2 (Sun and Saenko, "Deep CORAL", ECCV workshops 2016).

    Shape:
        (N, F), (M, F) -> scalar.
    """
    difference = torch.cov(features_s.T) - torch.cov(features_t.T)
    return (difference**2).sum() / (4 * features_s.shape[1] ** 2)


def mkmmd(features_s: Tensor, features_t: Tensor, width: Tensor | None = None) -> Tensor:
    """Maximum mean discrepancy with several Gaussian kernels, unbiased, so it can be a little below 0 (Gretton et al. 2012;
    Long et al., "Learning Transferable Features with Deep Adaptation Networks", ICML 2015).

    Args:
        width: squared distance about which the kernels' bandwidths lie, the mean of the two batches' if not given; distances
            that are to be compared with each other need the same.

    Shape:
        (N, F), (M, F) -> scalar.
    """
    n, m = len(features_s), len(features_t)
    everything = torch.cat([features_s, features_t])
    squares = (everything**2).sum(1)
    distances = (squares[:, None] + squares[None] - 2 * everything @ everything.T).clamp_min(0)
    if width is None:
        width = distances.detach().sum() / ((n + m) * (n + m - 1))
    kernel = torch.stack([torch.exp(-distances / (factor * width)) for factor in _BANDWIDTHS]).mean(0)
    within_s = (kernel[:n, :n].sum() - kernel[:n, :n].diagonal().sum()) / (n * (n - 1))
    within_t = (kernel[n:, n:].sum() - kernel[n:, n:].diagonal().sum()) / (m * (m - 1))
    return within_s + within_t - 2 * kernel[:n, n:].mean()


DISCREPANCIES = {"mkmmd": mkmmd, "coral": coral}
