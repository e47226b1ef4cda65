"""How published code does the steps that `benchmarks/speed.py` times: the same functions as ours, computed its way.

Facts are taken from SemGCN's repository (Zhao et al., CVPR 2019, which trains Martinez's network with it), VideoPose3D's
P-MPJPE (Pavllo et al., CVPR 2019) and the published DUA code built on them; words and code are ours. What counts here:

- a Dataset that hands out one sample at a time, batched by torch's DataLoader with two workers;
- in every graph convolution both products with the joints' features, and the adjacency's softmax built anew from a matrix of
  -9e15 in each pass; BatchNorm over a transposed view; non-local layers on transposed, reordered and concatenated copies;
- one Linear per joint in the uncertainty estimator, fed with what a common layer makes of SemGCN's features;
- Adam as torch chooses it by itself, `clip_grad_norm_`, and the loss read (`item`) in every step;
- MPJPE in torch and P-MPJPE in NumPy, batch by batch.

`as_published` (`benchmarks/published_networks.py`) gives the networks the weights of ours: both compute the same, which the tests hold them to.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

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
