"""The Martinez network against its description, written out a second time in NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.martinez import Martinez


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def some_net(**sizes) -> Martinez:
    """A small network in double precision, in which no BatchNorm stands at its first values."""
    net = Martinez(**{"hid_dim": 32, **sizes}).double()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.weight.normal_()
                module.bias.normal_()
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return net


def some_inputs(poses: int = 5, seed: int = 1) -> Tensor:
    return torch.randn(poses, 16, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equals_its_description_in_evaluation() -> None:
    net = some_net().eval()
    state = {name: value.numpy() for name, value in net.state_dict().items()}

    def layer(x: np.ndarray, linear: str, norm: str) -> np.ndarray:
        y = x @ state[f"{linear}.weight"].T + state[f"{linear}.bias"]
        y = (y - state[f"{norm}.running_mean"]) / np.sqrt(state[f"{norm}.running_var"] + 1e-5)
        return np.maximum(y * state[f"{norm}.weight"] + state[f"{norm}.bias"], 0)

    inputs_2d = some_inputs()
    x = layer(inputs_2d.numpy().reshape(5, 32), "input.0", "input.1")
    for block in ("blocks.0.layers", "blocks.1.layers"):
        x = x + layer(layer(x, f"{block}.0", f"{block}.1"), f"{block}.4", f"{block}.5")
    expected = np.zeros((5, 16, 3))
    for joint in range(1, 16):
        for axis in range(3):
            row = (joint - 1) * 3 + axis
            expected[:, joint, axis] = x @ state["output.weight"][row] + state["output.bias"][row]

    poses_3d, features = net(inputs_2d)
    np.testing.assert_allclose(features.detach(), x, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(poses_3d.detach(), expected, rtol=1e-10, atol=1e-12)


def test_size_is_the_published_one() -> None:
    """4.29 million: README of SemGCN's authors, who trained the same network with 16 joints."""
    size = sum(parameter.numel() for parameter in Martinez().parameters())
    hidden_layer = 1024 * 1024 + 1024 + 2 * 1024
    assert size == 4_288_557 == (32 * 1024 + 1024 + 2 * 1024) + 4 * hidden_layer + (1024 * 45 + 45)
    assert round(size / 1e6, 2) == 4.29


@pytest.mark.parametrize("training", [False, True])
def test_hip_is_exactly_zero(training: bool) -> None:
    poses_3d, features = some_net().train(training)(some_inputs())
    assert poses_3d.shape == (5, 16, 3)
    assert features.shape == (5, 32)
    assert (poses_3d[:, 0] == 0).all()
    assert (poses_3d[:, 1:] != 0).all()


def test_dropout_in_training_alone() -> None:
    net = some_net(hid_dim=256)
    inputs_2d = some_inputs(64)
    assert not torch.equal(*(net.train()(inputs_2d)[0] for _ in range(2)))
    assert torch.equal(*(net.eval()(inputs_2d)[0] for _ in range(2)))
    # What is dropped is half of the features, and the other half is doubled.
    net.train()
    kept = net.input[:-1](inputs_2d.flatten(1))
    dropped = net.input[-1](kept)
    survivors = dropped != 0
    assert 0.45 < survivors[kept > 0].double().mean() < 0.55
    torch.testing.assert_close(dropped[survivors], 2 * kept[survivors])


def test_initial_weights_are_kaiming_normal() -> None:
    for name, weight in Martinez().named_parameters():
        if weight.ndim == 2:
            assert weight.std().item() == pytest.approx((2 / weight.shape[1]) ** 0.5, rel=0.05), name


def test_gradient_reaches_every_parameter() -> None:
    # In evaluation: in training BatchNorm takes any bias before it out again.
    net = some_net().eval()
    poses_3d, features = net(some_inputs(64))
    features.sum().backward(retain_graph=True)  # the uncertainty loss comes this way
    assert net.input[0].weight.grad.abs().max() > 1e-6
    net.zero_grad()
    poses_3d.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 1e-6, name


def test_poses_do_not_see_each_other_in_evaluation() -> None:
    net = some_net().eval()
    inputs_2d = some_inputs(6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(net(inputs_2d[order])[0], net(inputs_2d)[0][order])
    torch.testing.assert_close(net(inputs_2d[:1])[0], net(inputs_2d)[0][:1])


def test_sizes_are_arguments() -> None:
    net = Martinez(num_joints=5, hid_dim=7, num_layers=3).eval()
    poses_3d, features = net(torch.randn(2, 5, 2))
    assert poses_3d.shape == (2, 5, 3)
    assert features.shape == (2, net.feature_size) == (2, 7)
    assert len(net.blocks) == 3
