"""The pose converter of DUA: a pose as one skeleton has it, to the same pose as another skeleton has it."""

import torch
from torch import Tensor, nn

ARCHITECTURES = ("residual", "map")

ASTRAY = 0.003
"""Metres: how far each coordinate of a prediction is taken to be from any pose that a body can strike. Chosen on build seed 0 of the open
benchmark, on the validation of networks trained on SURREAL (docs/adaptation.md): there 2 to 5 mm are alike."""


def principal_whitening(vectors: Tensor) -> Tensor:
    """P (D, D) that makes the second moments of vectors (N, D), of centred ones the covariance, those of independent unit variables, along
    directions that have any, to a thousandth of the largest deviation."""
    variances, directions = torch.linalg.eigh(vectors.T @ vectors / len(vectors))
    deviations = variances.clamp_min(0).sqrt()
    return (directions / deviations.clamp_min(deviations.max() * 1e-3)).T


class PoseConverter(nn.Module):
    """Linear correction between two definitions of the same joints (Manesco et al., Sensors 2023, 23, 7312).

    With x the coordinates of all joints but the hip, and x_c those of one axis c,

        residual: y = x + W x + b          (W 45 x 45)
        map: y_c = x_c + W_c x_c + b_c     (W_c 15 x 15, for c = x, y, z)

    W and b start at 0, which says that the two skeletons are the same, until `become` starts them at a map that is known. A linear
    map has no symmetric units that random numbers would have to tell apart, and its loss is convex: where training starts decides
    how long it takes and not where it ends. `randomise` starts as the published code does.

    Coordinates of a body depend on each other so strongly that gradients along some combinations are a million times
    smaller than along others. So W is kept as V P, with P a whitening of the inputs that `whiten` measures once: the same
    maps, but gradient descent on V and b reaches the best of them.

    Args:
        num_joints: joints of the skeleton, hip first.
        architecture: "residual" or "map".

    Shape:
        (N, (J - 1) * 3) -> (N, (J - 1) * 3), joint by joint x y z, metres from the hip.

    Raises:
        ValueError: no such architecture.
    """

    mean: Tensor
    whitening: Tensor

    def __init__(self, num_joints: int = 16, architecture: str = "residual") -> None:
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f"architecture {architecture!r}: one of {', '.join(ARCHITECTURES)} is needed")
        self.num_joints = num_joints
        self.architecture = architecture
        size = (num_joints - 1) * 3 if architecture == "residual" else num_joints - 1
        axes = 1 if architecture == "residual" else 3  # the residual converter has all axes in its one vector
        self.weight = nn.Parameter(torch.zeros(axes, size, size))  # V
        self.bias = nn.Parameter(torch.zeros(axes, size))
        self.register_buffer("mean", torch.zeros(axes, size))
        self.register_buffer("whitening", torch.eye(size).repeat(axes, 1, 1))  # P

    @torch.no_grad()
    def whiten(self, vectors: Tensor) -> None:
        """Measure mean and whitening P on inputs (N, (J - 1) * 3): P (x - mean) has unit covariance (`principal_whitening`)."""
        x = vectors.cpu().double().unflatten(1, (-1, len(self.weight)))  # (N, 45, 1) or (N, 15, 3); MPS has no doubles
        for axis in range(len(self.weight)):
            self.mean[axis] = x[:, :, axis].mean(dim=0)
            self.whitening[axis] = principal_whitening(x[:, :, axis] - x[:, :, axis].mean(dim=0))

    def knows_its_inputs(self) -> bool:
        """Whether mean and whitening were ever measured: not of one that `randomise` began, until it becomes another."""
        return not torch.equal(self.whitening, torch.eye(self.whitening.shape[1]).to(self.whitening).expand_as(self.whitening))

    @torch.no_grad()
    def become(self, other: "PoseConverter") -> None:
        """Be the same map as another converter of this architecture, written with the mean and whitening that this one has."""
        v, p, mean = other.weight.cpu().double(), other.whitening.cpu().double(), other.mean.cpu().double()
        correction = v @ p  # W
        own_p, own_mean = self.whitening.cpu().double(), self.mean.cpu().double()
        self.weight.copy_(torch.linalg.solve(own_p.mT, correction.mT).mT)  # V = W P^-1
        self.bias.copy_(other.bias.cpu().double() + torch.einsum("cji,ci->cj", correction, own_mean - mean))

    @torch.no_grad()
    def randomise(self) -> None:
        """W and b as `nn.Linear` draws them, on inputs that are not whitened."""
        bound = self.weight.shape[-1] ** -0.5
        self.weight.uniform_(-bound, bound)
        self.bias.uniform_(-bound, bound)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors + self._correction(vectors)  # (N, 45)

    def _correction(self, vectors: Tensor, astray: float = 0.0) -> Tensor:
        x = vectors.unflatten(1, (-1, len(self.weight))) - self.mean.T  # (N, 45) -> (N, 45, 1) or (N, 15, 3)
        # Of a direction that varies by d, 1 / |its row of P|, Wiener's filter leaves d^2 / (d^2 + astray^2).
        filtered = self.whitening / (1 + astray**2 * self.whitening.square().sum(2, keepdim=True))
        return (torch.einsum("cji,nic->njc", self.weight @ filtered, x) + self.bias.T).flatten(1)

    def convert(self, poses_3d: Tensor, predicted: bool = False) -> Tensor:
        """poses_3d (N, J, 3), metres from the hip -> the same, in the other skeleton; the hip stays exactly 0.

        Args:
            predicted: they are a network's, and no labels. In the exact pairs that a converter is fitted to, some combinations of
                coordinates hardly vary and yet say where a joint is: along them, 3 cm in every coordinate of a prediction become 80 at the
                head (build seed 0 of the open benchmark). So the correction is that of the likeliest pose behind them, each coordinate
                being off by 3 mm (Wiener's filter).
        """
        vectors = poses_3d[:, 1:].flatten(1)
        converted = vectors + self._correction(vectors, ASTRAY if predicted else 0.0)
        converted = converted.unflatten(1, (self.num_joints - 1, 3))  # (N, J - 1, 3)
        hip = converted.new_zeros(len(converted), 1, 3)
        return torch.cat([hip, converted], dim=1)
