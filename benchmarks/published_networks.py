"""Published networks as their code computes them, with the weights of ours: Martinez's and SemGCN's, and DUA's estimator.

What counts here, and where it is known from: `benchmarks/published_step.py`.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.martinez import Martinez
from models.sem_gcn import GraphLayer, NonLocal, SemGCN
from models.uncertainty import UncertaintyEstimator


class PublishedMartinez(nn.Module):
    """Martinez's network as SemGCN's repository has it: -> poses (N, 16, 3) and features (N, width)."""

    def __init__(self, ours: Martinez) -> None:
        super().__init__()
        self.num_joints, width = ours.num_joints, ours.feature_size
        self.w1 = nn.Linear(self.num_joints * 2, width)
        self.batch_norm1 = nn.BatchNorm1d(width)
        self.stages = nn.ModuleList(_Stage(width, _dropout(ours)) for _ in ours.blocks)
        self.w2 = nn.Linear(width, (self.num_joints - 1) * 3)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(_dropout(ours))

    def forward(self, inputs_2d: Tensor) -> tuple[Tensor, Tensor]:
        y = self.dropout(self.relu(self.batch_norm1(self.w1(inputs_2d.view(inputs_2d.size(0), -1)))))
        for stage in self.stages:
            y = stage(y)
        joints = self.w2(y).view(y.size(0), -1, 3)
        return torch.cat([torch.zeros(joints.size(0), 1, 3).to(joints.device), joints], dim=1), y

    def load_ours(self, ours: Martinez) -> None:
        self.w1.load_state_dict(ours.input[0].state_dict())
        self.batch_norm1.load_state_dict(ours.input[1].state_dict())
        for stage, block in zip(self.stages, ours.blocks, strict=True):
            for place, layer in ((0, stage.w1), (1, stage.batch_norm1), (4, stage.w2), (5, stage.batch_norm2)):
                layer.load_state_dict(block.layers[place].state_dict())
        self.w2.load_state_dict(ours.output.state_dict())


class _Stage(nn.Module):
    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.w1, self.batch_norm1 = nn.Linear(width, width), nn.BatchNorm1d(width)
        self.w2, self.batch_norm2 = nn.Linear(width, width), nn.BatchNorm1d(width)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(self.relu(self.batch_norm1(self.w1(x))))
        return x + self.dropout(self.relu(self.batch_norm2(self.w2(y))))


def _dropout(ours: Martinez) -> float:
    return next(module.p for module in ours.input if isinstance(module, nn.Dropout))


class PublishedSemGCN(nn.Module):
    """SemGCN as its authors' repository has it: -> poses (N, 16, 3) from the hip, features (N, 16 * width)."""

    def __init__(self, ours: SemGCN) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_published_layer(layer, ours.adjacency) for layer in ours.layers))
        self.output = _SemGraphConv(ours.output, ours.adjacency)

    def forward(self, inputs_2d: Tensor) -> tuple[Tensor, Tensor]:
        poses_3d, features = self.uncentred(inputs_2d)
        return poses_3d - poses_3d[:, :1], features

    def uncentred(self, inputs_2d: Tensor) -> tuple[Tensor, Tensor]:
        """What it learns with: the hip where the network puts it."""
        features = self.layers(inputs_2d)
        return self.output(features), features.reshape(features.size(0), -1)

    def load_ours(self, ours: SemGCN) -> None:
        for layer, other in zip(self.layers, ours.layers, strict=True):
            layer.load_ours(other)
        self.output.load_ours(ours.output)


class _SemGraphConv(nn.Module):
    def __init__(self, ours: nn.Module, adjacency: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty_like(ours.weight))
        self.edges = nn.Parameter(torch.empty(1, len(ours.mask)))
        self.bias = None if ours.bias is None else nn.Parameter(torch.empty_like(ours.bias))
        self.register_buffer("adjacency", adjacency + torch.eye(len(adjacency)).to(adjacency))
        self.register_buffer("linked", self.adjacency > 0)

    def forward(self, x: Tensor) -> Tensor:
        h0 = torch.matmul(x, self.weight[0])
        h1 = torch.matmul(x, self.weight[1])
        adjacency = -9e15 * torch.ones_like(self.adjacency)
        adjacency[self.linked] = self.edges.flatten()
        adjacency = F.softmax(adjacency, dim=1)
        own = torch.eye(len(adjacency), dtype=adjacency.dtype).to(adjacency.device)
        y = torch.matmul(adjacency * own, h0) + torch.matmul(adjacency * (1 - own), h1)
        return y if self.bias is None else y + self.bias.view(1, 1, -1)

    def load_ours(self, ours: nn.Module) -> None:
        with torch.no_grad():
            self.weight.copy_(ours.weight)
            self.edges.copy_(ours.mask[None])
            if self.bias is not None:
                self.bias.copy_(ours.bias)


class _GraphLayer(nn.Module):
    def __init__(self, ours: GraphLayer, adjacency: Tensor) -> None:
        super().__init__()
        self.conv = _SemGraphConv(ours.conv, adjacency)
        self.norm = nn.BatchNorm1d(ours.conv.weight.shape[2])
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x).transpose(1, 2)).transpose(1, 2))

    def load_ours(self, ours: GraphLayer) -> None:
        self.conv.load_ours(ours.conv)
        self.norm.load_state_dict(ours.activation[0].state_dict())


class _ResidualBlock(nn.Module):
    def __init__(self, ours: nn.Module, adjacency: Tensor) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_GraphLayer(layer, adjacency) for layer in ours.layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers[1](self.layers[0](x))

    def load_ours(self, ours: nn.Module) -> None:
        for layer, other in zip(self.layers, ours.layers, strict=True):
            layer.load_ours(other)


class _NonLocal(nn.Module):
    def __init__(self, ours: NonLocal) -> None:
        super().__init__()
        width = ours.norm.num_features
        half = width // 2
        self.order = ours.firsts_and_seconds.view(2, -1).T.flatten().tolist()
        self.restored = np.argsort(self.order).tolist()
        self.theta = nn.Conv1d(width, half, 1)
        self.phi = nn.Sequential(nn.Conv1d(width, half, 1), nn.MaxPool1d(2))
        self.g = nn.Sequential(nn.Conv1d(width, half, 1), nn.MaxPool1d(2))
        self.projection = nn.Sequential(nn.Conv2d(half * 2, 1, 1, bias=False), nn.ReLU())
        self.output = nn.Sequential(nn.Conv1d(half, width, 1), nn.BatchNorm1d(width))

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, self.order].transpose(1, 2)  # (N, width, J)
        batch, half = x.size(0), self.theta.out_channels
        g = self.g(x).view(batch, half, -1).permute(0, 2, 1)  # (N, P, half)
        theta = self.theta(x).view(batch, half, -1, 1)
        phi = self.phi(x).view(batch, half, 1, -1)
        joints, pairs = theta.size(2), phi.size(3)
        both = torch.cat([theta.expand(-1, -1, -1, pairs), phi.expand(-1, -1, joints, -1)], dim=1)  # (N, 2 half, J, P)
        attention = self.projection(both).view(batch, joints, pairs) / pairs
        y = torch.matmul(attention, g).permute(0, 2, 1).contiguous()  # (N, half, J)
        return (self.output(y) + x).transpose(1, 2)[:, self.restored]

    def load_ours(self, ours: NonLocal) -> None:
        half = self.theta.out_channels
        phi_and_g = ours.phi_and_g
        with torch.no_grad():
            for conv, weight, bias in (
                (self.theta, ours.theta.weight, ours.theta.bias),
                (self.phi[0], phi_and_g.weight[:half], phi_and_g.bias[:half]),
                (self.g[0], phi_and_g.weight[half:], phi_and_g.bias[half:]),
                (self.output[0], ours.output.weight, ours.output.bias),
            ):
                conv.weight.copy_(weight[..., None])
                conv.bias.copy_(bias)
            self.projection[0].weight.copy_(ours.projection.weight[..., None, None])
        self.output[1].load_state_dict(ours.norm.state_dict())


def _published_layer(ours: nn.Module, adjacency: Tensor) -> nn.Module:
    if isinstance(ours, NonLocal):
        return _NonLocal(ours)
    return _GraphLayer(ours, adjacency) if isinstance(ours, GraphLayer) else _ResidualBlock(ours, adjacency)


class PublishedEstimator(nn.Module):
    """Relative error of each joint but the hip, by a Linear of its own: features (N, F) -> (N, J), 0 for the hip."""

    def __init__(self, ours: UncertaintyEstimator) -> None:
        super().__init__()
        self.hidden = None if isinstance(ours.hidden, nn.Identity) else nn.Linear(*reversed(ours.hidden.weight.shape))
        self.joints = nn.ModuleList(nn.Linear(ours.output.in_features, 1) for _ in range(ours.output.out_features))

    def forward(self, features: Tensor) -> Tensor:
        x = features if self.hidden is None else self.hidden(features)
        hip = torch.zeros(len(x), 1).to(x.device)
        return torch.cat([hip, *(torch.sigmoid(joint(x)) for joint in self.joints)], dim=1)

    def load_ours(self, ours: UncertaintyEstimator) -> None:
        if self.hidden is not None:
            self.hidden.load_state_dict(ours.hidden.state_dict())
        with torch.no_grad():
            for row, joint in enumerate(self.joints):
                joint.weight.copy_(ours.output.weight[row : row + 1])
                joint.bias.copy_(ours.output.bias[row : row + 1])


def as_published(ours: dict[str, nn.Module]) -> tuple[nn.Module, nn.Module]:
    """Lifting network and estimator, as published, with the weights of `ours` ({role: network})."""
    lifter = PublishedMartinez(ours["lifter"]) if isinstance(ours["lifter"], Martinez) else PublishedSemGCN(ours["lifter"])
    estimator = PublishedEstimator(ours["uncertainty"])
    lifter.load_ours(ours["lifter"])
    estimator.load_ours(ours["uncertainty"])
    return lifter, estimator
