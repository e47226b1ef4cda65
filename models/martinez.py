"""The lifting network of Martinez et al., "A simple yet effective baseline for 3d human pose estimation", ICCV 2017."""

import torch
from torch import Tensor, nn

from models.dropout import Dropout


class ResidualBlock(nn.Module):
    """Two layers of Linear, BatchNorm, ReLU, Dropout, and the sum with what came in (Martinez et al., figure 2)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_layer(width, width, dropout), *_layer(width, width, dropout))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Martinez(nn.Module):
    """2D joints to 3D joints, pose by pose.

    Args:
        num_joints: joints of the skeleton, hip first.
        hid_dim: width of every hidden layer (1024 in the paper).
        num_layers: residual blocks (2 in the paper).
        dropout: probability of dropping a feature (0.5 in the paper).

    Shape:
        inputs_2d (N, J, 2) screen coordinates -> poses_3d (N, J, 3) metres from the hip, which is exactly 0, and
        features (N, hid_dim), the input of the last layer.
    """

    def __init__(self, num_joints: int = 16, hid_dim: int = 1024, num_layers: int = 2, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_joints = num_joints
        self.feature_size = hid_dim
        self.input = nn.Sequential(*_layer(num_joints * 2, hid_dim, dropout))
        self.blocks = nn.Sequential(*(ResidualBlock(hid_dim, dropout) for _ in range(num_layers)))
        self.output = nn.Linear(hid_dim, (num_joints - 1) * 3)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, inputs_2d: Tensor) -> tuple[Tensor, Tensor]:
        features = self.blocks(self.input(inputs_2d.flatten(1)))  # (N, J * 2) -> (N, hid_dim)
        poses_3d = self.output(features).unflatten(1, (self.num_joints - 1, 3))  # (N, J - 1, 3)
        hip = poses_3d.new_zeros(poses_3d.shape[0], 1, 3)  # len() would fix the batch size of an exported network
        return torch.cat([hip, poses_3d], dim=1), features


def _layer(in_features: int, out_features: int, dropout: float) -> list[nn.Module]:
    return [nn.Linear(in_features, out_features), nn.BatchNorm1d(out_features), nn.ReLU(), Dropout(dropout)]
