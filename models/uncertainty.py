"""The uncertainty estimator of DUA: how wrong each predicted joint is likely to be."""

import torch
from torch import Tensor, nn


class UncertaintyEstimator(nn.Module):
    """Relative error of each joint, guessed from the lifting network's features (Manesco et al., Sensors 2023, 23, 7312).

    Args:
        feature_size: numbers per pose that the lifting network hands over.
        num_joints: joints of the skeleton, hip first.
        hid_dim: width of a linear layer before the last one; None for none (Martinez; SemGCN takes 1024).

    Shape:
        features (N, feature_size) -> (N, J) in [0, 1]; the hip is where poses are centred and has error 0.
    """

    unit = "relative"

    def __init__(self, feature_size: int, num_joints: int = 16, hid_dim: int | None = None) -> None:
        super().__init__()
        self.hidden = nn.Identity() if hid_dim is None else nn.Linear(feature_size, hid_dim)
        self.output = nn.Linear(feature_size if hid_dim is None else hid_dim, num_joints - 1)

    def forward(self, features: Tensor) -> Tensor:
        relative_error = torch.sigmoid(self.output(self.hidden(features)))  # (N, J - 1)
        hip = relative_error.new_zeros(relative_error.shape[0], 1)  # len() would fix the batch size of an exported network
        return torch.cat([hip, relative_error], dim=1)
