"""The lifting network of Zhao et al., "Semantic Graph Convolutional Networks for 3D Human Pose Regression", CVPR 2019."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.domain_norm import scale_and_shift
from models.dropout import Dropout

JOINT_PAIRS = ((2, 3), (5, 6), (1, 4), (0, 7), (8, 9), (14, 15), (11, 12), (10, 13))
"""Which of the sixteen joints the non-local layers pool together: neighbours on a limb, or a left joint and its right one."""


def skeleton_adjacency(parents: Sequence[int]) -> Tensor:
    """(J, J) matrix with 1 where two joints share a bone, both ways round and without self loops; the root's parent is -1."""
    adjacency = torch.zeros(len(parents), len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            adjacency[joint, parent] = adjacency[parent, joint] = 1
    return adjacency


class SemanticGraphConv(nn.Module):
    """One semantic graph convolution (Zhao et al., section 3, in the form of their code).

    With N(i) the neighbours of joint i, itself among them, and a learnt number e_ij for each of its directed edges,

        a_ij = exp(e_ij) / sum_{k in N(i)} exp(e_ik) for j in N(i), otherwise 0
        y_i = a_ii x_i W_0 + sum_{j in N(i), j != i} a_ij x_j W_1 + b.

    All e_ij start equal, which makes `a` the adjacency with every row divided by its sum.

    Args:
        adjacency: (J, J), not 0 where two joints are neighbours. Self loops are added.
        in_features: numbers per joint that come in.
        out_features: numbers per joint that go out.
        bias: whether there is a `b`.

    Shape:
        (N, J, in_features) -> (N, J, out_features)
    """

    edges: Tensor
    own_and_others: Tensor

    def __init__(self, adjacency: Tensor, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.num_joints = len(adjacency)
        own = torch.eye(self.num_joints)
        neighbours = (adjacency != 0) | (own != 0)
        # What follows from the constructor's arguments is no part of the state: weights cannot bring another graph along.
        self.register_buffer("edges", neighbours.flatten().nonzero().flatten(), persistent=False)
        self.register_buffer("own_and_others", torch.stack([own, 1 - own], dim=1), persistent=False)  # (J, 2, J)

        self.weight = nn.Parameter(torch.empty(2, in_features, out_features))
        self.mask = nn.Parameter(torch.ones(len(self.edges)))
        self.bias = nn.Parameter(torch.empty(out_features)) if bias else None
        # As published, on the tensor of both matrices: its fans are in * out and 2 * out, so the weights start smaller than
        # Xavier's for one matrix. BatchNorm hides the scale from the forward pass, but not from Adam, whose steps are absolute.
        nn.init.xavier_uniform_(self.weight, gain=1.414)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -1 / math.sqrt(out_features), 1 / math.sqrt(out_features))

    def attention(self) -> Tensor:
        """(J, J): a_ij, how much joint i takes from joint j. Each row sums to 1."""
        scores = self.mask.new_full((self.num_joints**2,), -math.inf).scatter(0, self.edges, self.mask)
        return torch.softmax(scores.view(self.num_joints, self.num_joints), dim=1)

    def forward(self, x: Tensor, then: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """`then`: scale and shift of each number that goes out, as a normalisation after this layer has them."""
        # Neighbours are summed first and transformed afterwards: then W_0 and W_1 stand in one product, b included.
        # The batch size is taken as shape[0]: len() would fix it in an exported network.
        shares = (self.attention()[:, None] * self.own_and_others).flatten(0, 1)  # (J, J) -> (J, 2, J) -> (J * 2, J)
        gathered = torch.bmm(shares.expand(x.shape[0], -1, -1), x)  # (N, J, in) -> (N, J * 2, in)
        gathered = gathered.reshape(x.shape[0] * self.num_joints, -1)  # (N * J, 2 * in)
        weight: Tensor = self.weight.flatten(0, 1)  # (2 * in, out)
        bias: Tensor | None = self.bias
        if then is not None:
            scale, shift = then
            weight, bias = weight * scale, shift if bias is None else torch.addcmul(shift, bias, scale)
        y = gathered @ weight if bias is None else torch.addmm(bias, gathered, weight)  # (N * J, out)
        return y.unflatten(0, (x.shape[0], self.num_joints))


class GraphLayer(nn.Module):
    """Semantic graph convolution, BatchNorm over every joint of every pose, ReLU and, if asked for, dropout."""

    def __init__(self, adjacency: Tensor, in_features: int, out_features: int, dropout: float | None) -> None:
        super().__init__()
        self.conv = SemanticGraphConv(adjacency, in_features, out_features)
        self.activation = nn.Sequential(nn.BatchNorm1d(out_features), nn.ReLU(inplace=True))
        if dropout is not None:
            self.activation.append(Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        normalisation = scale_and_shift(self.activation[0])
        if normalisation is not None:
            return self.activation[1:](self.conv(x, normalisation))  # (N, J, in) -> (N, J, out)
        y = self.conv(x)  # (N, J, in) -> (N, J, out)
        return self.activation(y.flatten(0, 1)).view_as(y)  # one row a joint: BatchNorm needs no transposed copy


class ResidualBlock(nn.Module):
    """Two graph layers, and the sum with what came in."""

    def __init__(self, adjacency: Tensor, width: int, dropout: float | None) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(GraphLayer(adjacency, width, width, dropout) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class _Reordered(torch.autograd.Function):
    """x (N, J, C) with its joints in another order. As an order has an inverse, the gradient is no sum over what was picked, which
    is all that torch's own indexing knows of it, and several times as slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor) -> Tensor:
        ctx.save_for_backward(order)
        return x.index_select(1, order)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (order,) = ctx.saved_tensors
        return gradients[0].index_select(1, order.argsort()), None


class NonLocal(nn.Module):
    """Every joint looks at every pair of joints (Zhao et al., section 3, in the form of their code, which is the concatenation
    form of Wang et al., "Non-local Neural Networks", CVPR 2018).

    With P the pairs of joints, w a vector, and maxima taken number by number over the two joints of a pair,

        f_ip = relu(w . [theta(x_i), max_{j in p} phi(x_j)]) / |P|
        z_i = x_i + BatchNorm(W sum_p f_ip max_{j in p} g(x_j)).

    BatchNorm's scale starts at 0: at first the layer changes nothing.

    Args:
        width: numbers per joint; theta, phi and g have half as many.
        pairs: pairs of joints, each joint once.

    Shape:
        (N, J, width) -> (N, J, width)
    """

    firsts_and_seconds: Tensor

    def __init__(self, width: int, pairs: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.register_buffer("firsts_and_seconds", torch.tensor(pairs).T.flatten(), persistent=False)
        half = width // 2
        self.theta = nn.Linear(width, half)
        self.phi_and_g = nn.Linear(width, half * 2)
        self.projection = nn.Linear(half * 2, 1, bias=False)
        self.output = nn.Linear(half, width)
        self.norm = nn.BatchNorm1d(width)
        for linear in (self.theta, self.phi_and_g, self.projection, self.output):
            nn.init.kaiming_normal_(linear.weight)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        poses, width = x.shape[0], x.shape[2]
        joints: Tensor = _Reordered.apply(self.phi_and_g(x), self.firsts_and_seconds)  # (N, J, width)
        firsts, seconds = joints.unflatten(1, (2, -1)).unbind(1)  # (N, P, width) each, the two joints of every pair
        pairs = seconds + torch.relu(firsts - seconds)  # the maximum, whose own gradient takes thrice as long: it shares out ties
        phi, g = pairs.flatten(0, 1).split(width // 2, dim=1)  # (N * P, half) each

        # w . [theta, phi] is a sum of one number a joint and one number a pair, so the J * P concatenations need not exist;
        # and as nothing else reads theta, w is moved through it: w . (T x + t) = (w T) . x + w . t.
        w_theta, w_phi = self.projection.weight[0].chunk(2)
        joint_score = x.flatten(0, 1) @ (w_theta @ self.theta.weight) + w_theta @ self.theta.bias  # (N * J,)
        pair_score = phi @ w_phi  # (N * P,)
        attention = torch.relu(joint_score.view(poses, -1, 1) + pair_score.view(poses, 1, -1)) / pairs.shape[1]  # (N, J, P)

        # W goes through the sum as well, to the pairs, which are half as many as the joints; in evaluation with what BatchNorm does.
        weight, bias = self.output.weight.T, self.output.bias  # (half, width), (width,)
        normalisation = scale_and_shift(self.norm)
        if normalisation is not None:
            scale, shift = normalisation
            values = (g @ (weight * scale)).view(poses, -1, width)
            return torch.baddbmm(x + torch.addcmul(shift, bias, scale), attention, values)
        y = torch.bmm(attention, (g @ weight).view(poses, -1, width)) + bias  # (N, P, width) -> (N, J, width)
        return x + self.norm(y.flatten(0, 1)).view_as(x)


class SemGCN(nn.Module):
    """2D joints to 3D joints, pose by pose, along the bones of the skeleton.

    Args:
        adjacency: (J, J), 1 where two joints share a bone (`skeleton_adjacency`), hip first; a nested list does as well.
        hid_dim: numbers per joint of every hidden layer (128 in the paper).
        num_layers: residual blocks (4 in the paper).
        dropout: probability of dropping a number after each hidden layer; None for no dropout, as in the paper.
        non_local: put a non-local layer after the input layer and after each block.
        groups: the pairs of joints that non-local layers pool.

    Shape:
        inputs_2d (N, J, 2) screen coordinates -> poses_3d (N, J, 3) metres from the hip, which is exactly 0, and
        features (N, J * hid_dim), the input of the last layer.

    Raises:
        ValueError: the adjacency is not square, or the groups are not pairs that hold each joint once.
    """

    adjacency: Tensor

    def __init__(
        self,
        adjacency: Tensor | Sequence[Sequence[float]],
        hid_dim: int = 128,
        num_layers: int = 4,
        dropout: float | None = None,
        non_local: bool = False,
        groups: Sequence[Sequence[int]] = JOINT_PAIRS,
    ) -> None:
        super().__init__()
        adjacency = torch.as_tensor(adjacency, dtype=torch.get_default_dtype())
        if adjacency.ndim != 2 or adjacency.shape[0] != adjacency.shape[1]:
            raise ValueError(f"an adjacency of shape (J, J) is needed, not {tuple(adjacency.shape)}")
        self.num_joints = len(adjacency)
        self.feature_size = self.num_joints * hid_dim
        if non_local and (
            sorted(joint for group in groups for joint in group) != list(range(self.num_joints))
            or any(len(group) != 2 for group in groups)
        ):
            raise ValueError(f"groups must be pairs that hold each of the {self.num_joints} joints once: {groups}")
        self.register_buffer("adjacency", adjacency, persistent=False)

        layers: list[nn.Module] = [GraphLayer(adjacency, 2, hid_dim, dropout=None)]
        if non_local:
            layers.append(NonLocal(hid_dim, groups))
        for _ in range(num_layers):
            layers.append(ResidualBlock(adjacency, hid_dim, dropout))
            if non_local:
                layers.append(NonLocal(hid_dim, groups))
        self.layers = nn.Sequential(*layers)
        # The published output layer has a bias. It is the same for all joints, so subtracting the hip would take it out again.
        self.output = SemanticGraphConv(adjacency, hid_dim, 3, bias=False)

    def forward(self, inputs_2d: Tensor) -> tuple[Tensor, Tensor]:
        features = self.layers(inputs_2d)  # (N, J, 2) -> (N, J, hid_dim)
        poses_3d = self.output(features)  # (N, J, 3)
        return poses_3d - poses_3d[:, :1], features.flatten(1)
