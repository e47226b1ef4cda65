"""SemGCN against its equations, written out a second time in NumPy: joint by joint, with nothing merged or moved."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.geometry.skeleton import BONES, JOINT_NAMES, NUM_JOINTS, PARENTS
from models.sem_gcn import JOINT_PAIRS, NonLocal, SemanticGraphConv, SemGCN, skeleton_adjacency

ADJACENCY = skeleton_adjacency(PARENTS)
PAIRS = (
    ("RKnee", "RFoot"), ("LKnee", "LFoot"), ("RHip", "LHip"), ("Hip", "Spine"),
    ("Thorax", "Head"), ("RElbow", "RWrist"), ("LElbow", "LWrist"), ("LShoulder", "RShoulder"),
)  # fmt: skip
EPSILON = 1e-5  # BatchNorm's


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def conv(x: np.ndarray, layer: SemanticGraphConv) -> np.ndarray:
    """Semantic graph convolution of (N, J, in), edge by edge."""
    w_self, w_neighbour = layer.weight.detach().numpy()
    values = iter(layer.mask.detach().numpy())
    y = np.zeros((len(x), NUM_JOINTS, w_self.shape[1]))
    for i in range(NUM_JOINTS):
        neighbours = [j for j in range(NUM_JOINTS) if i == j or PARENTS[i] == j or PARENTS[j] == i]
        weights = np.exp([next(values) for _ in neighbours])
        for j, a in zip(neighbours, weights / weights.sum(), strict=True):
            y[:, i] += a * (x[:, j] @ (w_self if i == j else w_neighbour))
    assert next(values, None) is None  # one number for each edge and each self loop
    return y if layer.bias is None else y + layer.bias.detach().numpy()


def batch_norm(x: np.ndarray, norm: nn.BatchNorm1d) -> np.ndarray:
    """Over the poses and joints of (N, J, C)."""
    mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
    if norm.training:
        mean = x.mean(axis=(0, 1))
        variance = ((x - mean) ** 2).mean(axis=(0, 1))
    return (x - mean) / np.sqrt(variance + EPSILON) * norm.weight.detach().numpy() + norm.bias.detach().numpy()


def linear(x: np.ndarray, weight: Tensor, bias: Tensor) -> np.ndarray:
    return x @ weight.detach().numpy().T + bias.detach().numpy()


def non_local(x: np.ndarray, layer: NonLocal) -> np.ndarray:
    """The published order of things: to the grouped order, pooled in pairs, every concatenation made, and back."""
    order = [JOINT_NAMES.index(name) for pair in PAIRS for name in pair]
    grouped = x[:, order]
    half = x.shape[2] // 2
    theta = linear(grouped, layer.theta.weight, layer.theta.bias)
    phi = linear(grouped, layer.phi_and_g.weight[:half], layer.phi_and_g.bias[:half])
    g = linear(grouped, layer.phi_and_g.weight[half:], layer.phi_and_g.bias[half:])
    phi = np.stack([np.maximum(phi[:, k], phi[:, k + 1]) for k in range(0, NUM_JOINTS, 2)], axis=1)  # (N, 8, half)
    g = np.stack([np.maximum(g[:, k], g[:, k + 1]) for k in range(0, NUM_JOINTS, 2)], axis=1)
    w = layer.projection.weight.detach().numpy()[0]
    y = np.zeros_like(theta)
    for i in range(NUM_JOINTS):
        for p in range(NUM_JOINTS // 2):
            f = np.maximum(np.concatenate([theta[:, i], phi[:, p]], axis=1) @ w, 0)  # (N,)
            y[:, i] += f[:, None] / (NUM_JOINTS // 2) * g[:, p]
    z = grouped + batch_norm(linear(y, layer.output.weight, layer.output.bias), layer.norm)
    return z[:, np.argsort(order)]


def sem_gcn(inputs_2d: np.ndarray, net: SemGCN) -> tuple[np.ndarray, np.ndarray]:
    def graph_layer(x: np.ndarray, layer: nn.Module) -> np.ndarray:
        return np.maximum(batch_norm(conv(x, layer.conv), layer.activation[0]), 0)

    x = inputs_2d
    for layer in net.layers:
        if isinstance(layer, NonLocal):
            x = non_local(x, layer)
        elif hasattr(layer, "layers"):
            x = x + graph_layer(graph_layer(x, layer.layers[0]), layer.layers[1])
        else:
            x = graph_layer(x, layer)
    poses_3d = conv(x, net.output)
    return poses_3d - poses_3d[:, :1], x.reshape(len(x), -1)


def some_net(**sizes) -> SemGCN:
    """A small network in double precision, in which no parameter or running average stands at its first value."""
    net = SemGCN(ADJACENCY, **{"hid_dim": 8, "num_layers": 2, **sizes}).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return net


def some_inputs(poses: int = 5, seed: int = 1) -> Tensor:
    return torch.randn(poses, NUM_JOINTS, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("with_non_local", [False, True])
def test_equals_its_equations(with_non_local: bool, training: bool) -> None:
    net = some_net(non_local=with_non_local).train(training)
    inputs_2d = some_inputs()
    expected_poses, expected_features = sem_gcn(inputs_2d.numpy(), net)
    poses_3d, features = net(inputs_2d)
    assert poses_3d.shape == (5, 16, 3)
    assert features.shape == (5, 16 * 8)
    np.testing.assert_allclose(features.detach(), expected_features, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(poses_3d.detach(), expected_poses, rtol=1e-9, atol=1e-10)
    assert np.abs(expected_poses).max() > 0.1  # not the agreement of two zeros


def test_non_local_layers_change_the_poses_once_trained() -> None:
    """Else the comparison above could not see them."""
    net = some_net(non_local=True).eval()
    before = net(some_inputs())[0]
    for module in net.modules():
        if isinstance(module, NonLocal):
            nn.init.zeros_(module.norm.weight)
    assert (net(some_inputs())[0] - before).abs().max() > 1e-3


def test_non_local_starts_as_identity() -> None:
    layer = NonLocal(8, JOINT_PAIRS)
    x = torch.randn(4, NUM_JOINTS, 8)
    assert torch.equal(layer(x), x)
    plain = SemGCN(ADJACENCY, hid_dim=8, num_layers=2).eval()
    other = SemGCN(ADJACENCY, hid_dim=8, num_layers=2, non_local=True).eval()
    convs = ([m for m in net.modules() if isinstance(m, SemanticGraphConv)] for net in (plain, other))
    for source, target in zip(*convs, strict=True):
        target.load_state_dict(source.state_dict())
    inputs_2d = some_inputs().float()
    torch.testing.assert_close(other(inputs_2d)[0], plain(inputs_2d)[0], rtol=0, atol=0)


def test_non_local_gradients_are_those_of_its_values() -> None:
    """Some of the way back is written by hand. In evaluation, so that poses stay apart."""
    layer = some_net(non_local=True).layers[1].eval()
    x = torch.randn(2, NUM_JOINTS, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_adjacency_is_the_skeleton() -> None:
    assert torch.equal(ADJACENCY, ADJACENCY.T)
    assert ADJACENCY.sum() == 2 * len(BONES)
    assert all(ADJACENCY[bone] == 1 for bone in BONES)


def test_attention_stays_in_the_graph() -> None:
    layer = SemanticGraphConv(ADJACENCY, 2, 4).double()
    linked = ADJACENCY + torch.eye(NUM_JOINTS)
    torch.testing.assert_close(layer.attention(), (linked / linked.sum(dim=1, keepdim=True)).double())  # at the start
    nn.init.normal_(layer.mask)
    attention = layer.attention()
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(NUM_JOINTS, dtype=torch.float64))
    assert torch.equal(attention > 0, linked > 0)
    assert (attention[linked == 0] == 0).all()


def test_initial_weights_are_the_published_ones() -> None:
    """Xavier with gain 1.414 on the (2, in, out) tensor: uniform up to 1.414 sqrt(6 / (in out + 2 out))."""
    layer = SemanticGraphConv(ADJACENCY, 128, 128)
    bound = 1.414 * (6 / (128 * 128 + 2 * 128)) ** 0.5
    assert 0.99 * bound < layer.weight.abs().max() <= bound
    assert layer.bias is not None
    assert 0.8 * 128**-0.5 < layer.bias.abs().max() <= 128**-0.5
    assert (layer.mask == 1).all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("with_non_local", [False, True])
def test_hip_is_exactly_zero(with_non_local: bool, training: bool) -> None:
    net = some_net(non_local=with_non_local).float().train(training)
    poses_3d, _ = net(some_inputs().float())
    assert (poses_3d[:, 0] == 0).all()
    assert (poses_3d[:, 1:] != 0).all()


@pytest.mark.parametrize("with_non_local", [False, True])
def test_gradient_reaches_every_parameter(with_non_local: bool) -> None:
    # In evaluation: in training BatchNorm takes any bias before it out again.
    net = some_net(non_local=with_non_local).eval()
    poses_3d, features = net(some_inputs(64))
    (poses_3d.square().sum() + features.sum()).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-6, name


@pytest.mark.parametrize(("with_non_local", "expected", "published"), [(False, 267_340, 0.27), (True, 434_700, 0.43)])
def test_size_is_the_published_one(with_non_local: bool, expected: int, published: float) -> None:
    """Published figures: README of the authors' code. Our output layer lacks their bias of 3."""
    size = sum(p.numel() for p in SemGCN(ADJACENCY, non_local=with_non_local).parameters())
    edges = NUM_JOINTS + 2 * len(BONES)
    hidden_layer = 2 * 128 * 128 + edges + 128 + 2 * 128
    non_local_layer = 3 * (128 * 64 + 64) + 2 * 64 + (64 * 128 + 128) + 2 * 128
    input_and_output = (2 * 2 * 128 + edges + 128 + 2 * 128) + (2 * 128 * 3 + edges)
    assert size == expected == input_and_output + 8 * hidden_layer + with_non_local * 5 * non_local_layer
    assert round(size / 1e6, 2) == published


@pytest.mark.parametrize("with_non_local", [False, True])
def test_poses_do_not_see_each_other_in_evaluation(with_non_local: bool) -> None:
    net = some_net(non_local=with_non_local).eval()
    inputs_2d = some_inputs(6)
    together = net(inputs_2d)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    for out, shuffled in zip(together, net(inputs_2d[order]), strict=True):
        torch.testing.assert_close(shuffled, out[order])
    for out, alone in zip(together, net(inputs_2d[:1]), strict=True):
        torch.testing.assert_close(alone, out[:1])


def test_only_joints_within_reach_matter() -> None:
    """Two graph convolutions see two bones far: no block, input and output layer."""
    net = some_net(num_layers=0).eval()
    inputs_2d = some_inputs(1).requires_grad_()
    absolute = net.output(net.layers(inputs_2d))  # before the hip, which every joint sees, is subtracted
    absolute[0, 6].sum().backward()
    assert inputs_2d.grad is not None
    assert inputs_2d.grad[0].abs().sum(dim=1).nonzero().flatten().tolist() == [4, 5, 6]


def test_features_lead_to_the_poses() -> None:
    net = some_net(non_local=True).eval()
    poses_3d, features = net(some_inputs(64))
    assert features.shape[1] == net.feature_size
    from_features = net.output(features.unflatten(1, (net.num_joints, -1)))
    torch.testing.assert_close(from_features - from_features[:, :1], poses_3d)
    features.sum().backward()  # the uncertainty loss trains the layers through them
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.layers.parameters())
    assert all(p.grad is None for p in net.output.parameters())


def test_dropout_is_off_unless_asked_for() -> None:
    inputs_2d = some_inputs(64)
    assert torch.equal(*(net(inputs_2d)[0] for net in [some_net(dropout=None).train()] * 2))
    dropping = some_net(dropout=0.3).train()
    assert not torch.equal(*(dropping(inputs_2d)[0] for _ in range(2)))
    poses_3d = dropping.eval()(inputs_2d)[0]
    np.testing.assert_allclose(poses_3d.detach(), sem_gcn(inputs_2d.numpy(), dropping)[0], rtol=1e-9, atol=1e-10)


def test_state_restores_the_network() -> None:
    """The graph is no part of the state: it comes from the constructor, here as the list that a checkpoint keeps."""
    net = some_net(non_local=True).eval()
    other = SemGCN(ADJACENCY.tolist(), hid_dim=8, num_layers=2, non_local=True).double().eval()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(some_inputs())[0], net(some_inputs())[0])
    assert set(net.state_dict()) == {name for name, _ in net.named_parameters()} | {
        name for name, _ in net.named_buffers() if "running" in name or "num_batches" in name
    }


@pytest.mark.parametrize(
    ("adjacency", "groups"),
    [
        (torch.zeros(16, 15), JOINT_PAIRS),
        (torch.zeros(16), JOINT_PAIRS),
        (ADJACENCY, JOINT_PAIRS[1:]),
        (ADJACENCY, (*JOINT_PAIRS[1:], (2, 2))),
        (ADJACENCY, (range(16),)),
    ],
)
def test_graphs_and_groups_that_cannot_be(adjacency: Tensor, groups) -> None:
    with pytest.raises(ValueError, match=r"is needed|must be pairs"):
        SemGCN(adjacency, non_local=True, groups=groups)
