"""How published code does the steps that `benchmarks/speed.py` times: the same functions as ours, computed its way.

Facts are taken from SemGCN's repository (Zhao et al., CVPR 2019, which trains Martinez's network with it), VideoPose3D's
P-MPJPE (Pavllo et al., CVPR 2019) and the published DUA code built on them; words and code are ours. What counts here:

- a Dataset that hands out one sample at a time, batched by torch's DataLoader with two workers;
- in every graph convolution both products with the joints' features, and the adjacency's softmax built anew from a matrix of
  -9e15 in each pass; BatchNorm over a transposed view; non-local layers on transposed, reordered and concatenated copies;
- one Linear per joint in the uncertainty estimator, fed with what a common layer makes of SemGCN's features;
- Adam as torch chooses it by itself, `clip_grad_norm_`, and the loss read (`item`) in every step;
- MPJPE in torch and P-MPJPE in NumPy, batch by batch.

`load_ours` gives these networks the weights of ours: then both compute the same, which the tests hold them to.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from models.martinez import Martinez
from models.sem_gcn import GraphLayer, NonLocal, SemGCN
from models.uncertainty import UncertaintyEstimator

Batch = tuple[Tensor, Tensor, list[str]]


class PoseSamples(Dataset):
    """targets_3d (16, 3), inputs_2d (16, 2) and the action of one pose at a time, from arrays of all."""

    def __init__(self, inputs_2d: np.ndarray, targets_3d: np.ndarray, actions: list[str]) -> None:
        self.inputs_2d = inputs_2d
        self.targets_3d = targets_3d
        self.actions = actions

    def __len__(self) -> int:
        return len(self.actions)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, str]:
        target_3d = torch.from_numpy(self.targets_3d[index]).float()
        return target_3d, torch.from_numpy(self.inputs_2d[index]).float(), self.actions[index]


def endless(samples: PoseSamples, batch_size: int, shuffle: bool, workers: int, device: torch.device) -> Iterator[Batch]:
    """Batches of one epoch after the other."""
    loader = DataLoader(samples, batch_size, shuffle, num_workers=workers, pin_memory=device.type == "cuda", drop_last=True)
    while True:
        yield from loader


def train_step(
    batch: Batch,
    lifter: nn.Module,
    estimator: nn.Module,
    objective: Callable[[Tensor, Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    step: int,
    device: torch.device,
) -> float:
    """One step; returns its loss."""
    if step % 100_000 == 0:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.96 ** (step / 100_000)
    targets_3d, inputs_2d = batch[0].to(device), batch[1].to(device)
    poses_3d, features = lifter(inputs_2d)
    optimizer.zero_grad()
    loss = objective(poses_3d, targets_3d, estimator(features))
    loss.backward()
    nn.utils.clip_grad_norm_([*lifter.parameters(), *estimator.parameters()], max_norm=1)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def evaluate_batch(batch: Batch, lifter: nn.Module, estimator: nn.Module, device: torch.device) -> tuple[float, float]:
    """MPJPE and P-MPJPE, metres."""
    targets_3d, inputs_2d = batch[0], batch[1].to(device)
    poses_3d, features = lifter(inputs_2d)
    estimator(features).cpu()
    poses_3d = poses_3d.cpu()
    poses_3d[:, :, :] -= poses_3d[:, :1, :].clone()
    mpjpe = torch.mean(torch.norm(poses_3d - targets_3d, dim=2)).item()
    return mpjpe, float(p_mpjpe(poses_3d.numpy(), targets_3d.numpy()))


def p_mpjpe(predicted: np.ndarray, target: np.ndarray) -> np.floating:
    """(N, J, 3) each -> mean over poses and joints, after Procrustes alignment by SVD."""
    mean_x, mean_y = target.mean(axis=1, keepdims=True), predicted.mean(axis=1, keepdims=True)
    x, y = target - mean_x, predicted - mean_y
    norm_x = np.sqrt(np.sum(x**2, axis=(1, 2), keepdims=True))
    norm_y = np.sqrt(np.sum(y**2, axis=(1, 2), keepdims=True))
    x, y = x / norm_x, y / norm_y
    u, s, vt = np.linalg.svd(np.matmul(x.transpose(0, 2, 1), y))
    v = vt.transpose(0, 2, 1)
    sign = np.sign(np.linalg.det(np.matmul(v, u.transpose(0, 2, 1))))[:, None]
    v[:, :, -1] *= sign
    s[:, -1] *= sign.flatten()
    rotation = np.matmul(v, u.transpose(0, 2, 1))
    scale = np.sum(s, axis=1)[:, None, None] * norm_x / norm_y
    aligned = scale * np.matmul(predicted, rotation) + mean_x - scale * np.matmul(mean_y, rotation)
    return np.mean(np.linalg.norm(aligned - target, axis=-1))


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


def published(ours: dict[str, nn.Module]) -> tuple[nn.Module, nn.Module]:
    """Lifting network and estimator, as published, with the weights of `ours` ({role: network})."""
    lifter = PublishedMartinez(ours["lifter"]) if isinstance(ours["lifter"], Martinez) else PublishedSemGCN(ours["lifter"])
    estimator = PublishedEstimator(ours["uncertainty"])
    lifter.load_ours(ours["lifter"])
    estimator.load_ours(ours["uncertainty"])
    return lifter, estimator
