"""How wrong each predicted joint is likely to be: the uncertainty estimator of DUA, and a Gaussian one to hold it against."""

import math

import torch
from torch import Tensor, nn


class UncertaintyEstimator(nn.Module):
    """Relative error of each joint, guessed from the lifting network's features (Manesco et al., Sensors 2023, 23, 7312).

    Args:
        feature_size: numbers per pose that the lifting network hands over.
        num_joints: joints of the skeleton, hip first.
        hid_dim: width of a linear layer before the last one; None for none (Martinez; SemGCN takes 1024).
        hidden_scale: of that layer's weights in use to those that are kept, see below.

    A step of Adam moves every weight as far as every other. Through two layers, and 2048 features that no BatchNorm holds small,
    that would move a joint's score by tens at once: to where the sigmoid is 1 and its gradient 0, and the joint is called all wrong
    for the rest of the training. So the hidden layer's weights are kept `1 / hidden_scale` times as large as they act: they
    begin the same, and a step changes what they do that much less.

    Shape:
        features (N, feature_size) -> (N, J) in [0, 1]; the hip is where poses are centred and has error 0.
    """

    unit = "relative"

    def __init__(self, feature_size: int, num_joints: int = 16, hid_dim: int | None = None, hidden_scale: float = 1.0) -> None:
        super().__init__()
        self.hidden = nn.Identity() if hid_dim is None else nn.Linear(feature_size, hid_dim)
        self.hidden_scale = hidden_scale
        self.output = nn.Linear(feature_size if hid_dim is None else hid_dim, num_joints - 1)
        if isinstance(self.hidden, nn.Linear):
            with torch.no_grad():
                self.hidden.weight /= hidden_scale

    def forward(self, features: Tensor) -> Tensor:
        return _with_hip(torch.sigmoid(self.scores(features)))

    def scores(self, features: Tensor) -> Tensor:
        """(N, feature_size) -> (N, J - 1), before the sigmoid."""
        if isinstance(self.hidden, nn.Identity):
            return self.output(features)
        # Nothing stands between the two layers, so they are one linear map, V (H f + h) + v = (V H) f + V h + v, and a narrow
        # one: to multiply the layers with each other first takes a quarter of the work in a batch of 64, less in a larger one.
        # As H' V' and not as V H, because the gradient of V is then a product that processors are twice as fast at.
        output = (self.output.weight.T * self.hidden_scale).contiguous()  # (hid_dim, J - 1)
        weight = self.hidden.weight.T @ output  # (feature_size, hid_dim) -> (feature_size, J - 1)
        bias = torch.addmv(self.output.bias, self.output.weight, self.hidden.bias)
        return torch.addmm(bias, features, weight)


class GaussianEstimator(UncertaintyEstimator):
    """Standard deviation of each joint, the same along every axis, around where the lifting network puts it.

    The same layers as DUA's estimator. They give a log standard deviation (half a log variance), which a sigmoid keeps between
    1 mm and 10 m, so that no joint's likelihood runs away; it begins near 10 cm.

    Shape:
        features (N, feature_size) -> (N, J) metres; 0 for the hip.
    """

    unit = "metres"

    def forward(self, features: Tensor) -> Tensor:
        share = torch.sigmoid(self.scores(features))  # (N, J - 1)
        return _with_hip(_LEAST_SIGMA * torch.exp(_LOG_RANGE * share))


_LEAST_SIGMA = 1e-3
_LOG_RANGE = math.log(1e4)


def _with_hip(joints: Tensor) -> Tensor:
    """(N, J - 1) -> (N, J), 0 for the hip."""
    hip = joints.new_zeros(joints.shape[0], 1)  # len() would fix the batch size of an exported network
    return torch.cat([hip, joints], dim=1)
