"""Distances between the features of two domains, to be made small in place of a domain classifier."""

import torch
from torch import Tensor

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
