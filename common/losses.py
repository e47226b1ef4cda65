"""The pieces that the scripts compose their losses of."""

import torch
from torch import Tensor


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
