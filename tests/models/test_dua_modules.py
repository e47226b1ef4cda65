"""DUA's own modules: pose converter, domain classifier, gradient reversal and its warm start."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.domain_classifier import DomainClassifier, reverse_gradient, warm_start
from models.pose_converter import ARCHITECTURES, PoseConverter


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_vectors(poses: int, seed: int = 0) -> Tensor:
    return torch.randn(poses, 45, generator=generator(seed), dtype=torch.float64)


def some_converter(architecture: str, seed: int = 2) -> PoseConverter:
    converter = PoseConverter(architecture=architecture).double()
    with torch.no_grad():
        for parameter in converter.parameters():
            parameter.normal_(generator=generator(seed))
    return converter


# Pose converter


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_converter_starts_as_identity(architecture: str) -> None:
    vectors = some_vectors(7)
    converter = PoseConverter(architecture=architecture).double()
    assert torch.equal(converter(vectors), vectors)
    assert torch.equal(converter.convert(poses_of(vectors)), poses_of(vectors))


@pytest.mark.parametrize(("architecture", "size"), [("residual", 45 * 45 + 45), ("map", 3 * (15 * 15 + 15))])
def test_converter_size(architecture: str, size: int) -> None:
    assert sum(parameter.numel() for parameter in PoseConverter(architecture=architecture).parameters()) == size


def test_residual_converter_equals_its_equation() -> None:
    converter = some_converter("residual")
    x = some_vectors(7).numpy()
    weight, bias = (parameter.detach().numpy()[0] for parameter in (converter.weight, converter.bias))
    expected = np.stack([vector + weight @ vector + bias for vector in x])
    np.testing.assert_allclose(converter(torch.from_numpy(x)).detach(), expected, rtol=1e-10, atol=1e-10)


def test_map_converter_equals_its_equation() -> None:
    converter = some_converter("map")
    x = some_vectors(7).numpy()
    weight, bias = converter.weight.detach().numpy(), converter.bias.detach().numpy()
    expected = x.copy()
    for axis in range(3):  # of the vector x0 y0 z0 x1 y1 z1 ...
        expected[:, axis::3] += x[:, axis::3] @ weight[axis].T + bias[axis]
    np.testing.assert_allclose(converter(torch.from_numpy(x)).detach(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_which_axes_a_converter_mixes(architecture: str) -> None:
    jacobian = torch.autograd.functional.jacobian(some_converter(architecture), some_vectors(1))[0, :, 0]  # (45, 45)
    axes = torch.arange(45) % 3
    same_axis = axes[:, None] == axes[None, :]
    assert (jacobian[same_axis] != 0).all()
    assert (jacobian[~same_axis] != 0).all() if architecture == "residual" else (jacobian[~same_axis] == 0).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_converter_holds_any_map_of_its_kind(architecture: str) -> None:
    """The solution by least squares, laid into the converter, gives back the targets."""
    known = some_converter(architecture, seed=3)
    x = some_vectors(200)
    targets = known(x).detach()
    solved = PoseConverter(architecture=architecture).double()
    for c in range(len(solved.weight)):
        rows = slice(c, None, len(solved.weight))
        design = torch.cat([x[:, rows], x.new_ones(len(x), 1)], dim=1)
        solution = torch.linalg.lstsq(design, (targets - x)[:, rows]).solution
        with torch.no_grad():
            solved.weight[c] = solution[:-1].T
            solved.bias[c] = solution[-1]
    fresh = some_vectors(50, seed=4)
    torch.testing.assert_close(solved(fresh), known(fresh), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_prediction_is_converted_as_the_likeliest_pose_behind_it(architecture: str) -> None:
    """x + W S (S + e^2)^-1 (x - m) + W m + b of inputs with mean m and covariance S, e = 3 mm."""
    converter = some_converter(architecture)
    x = some_vectors(400) * 10.0 ** torch.linspace(-2, 0, 45, dtype=torch.float64) + 0.1
    converter.whiten(x)
    axes, shown = len(converter.weight), some_vectors(7, seed=5)
    expected = shown.clone()
    for c in range(axes):
        rows = slice(c, None, axes)
        mean, correction = x[:, rows].mean(0), converter.weight[c] @ converter.whitening[c]
        covariance = torch.cov(x[:, rows].T, correction=0)
        filtered = covariance @ torch.linalg.inv(covariance + 0.003**2 * torch.eye(len(mean), dtype=torch.float64))
        expected[:, rows] += (shown[:, rows] - mean) @ (correction @ filtered).T + converter.bias[c]
    converted = converter.convert(poses_of(shown), predicted=True)
    torch.testing.assert_close(converted, poses_of(expected), rtol=1e-6, atol=1e-6)
    assert (converted[:, 0] == 0).all()


def test_errors_of_a_prediction_do_not_grow_along_what_no_pose_varies_along() -> None:
    """Two joints 1 mm apart, give or take a tenth, whose difference tells where a third is."""
    x = some_vectors(2000) * 0.2
    x[:, 3:6] = x[:, :3] + 0.001 + 0.0001 * some_vectors(2000, seed=1)[:, :3]
    converter = PoseConverter().double()
    converter.whiten(x)
    with torch.no_grad():
        correction = torch.zeros(45, 45, dtype=torch.float64)
        correction[42:, 3:6], correction[42:, :3] = 100 * torch.eye(3), -100 * torch.eye(3)
        converter.weight[0] = correction @ torch.linalg.inv(converter.whitening[0])
    poses, wrong = poses_of(x), poses_of(x + 0.01 * some_vectors(2000, seed=2))
    with torch.no_grad():
        truth = converter.convert(poses)
        errors = [(converter.convert(wrong, predicted=of) - truth)[:, 15].norm(dim=-1).mean() for of in (False, True)]
    assert errors[0] > 1  # metres, of a centimetre
    assert errors[1] < 0.06


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_converter_learns_from_its_first_values(architecture: str) -> None:
    """All zeros is no place where gradient descent would be stuck."""
    known = some_converter(architecture, seed=3)
    x = some_vectors(400)
    targets = known(x).detach()
    converter = PoseConverter(architecture=architecture).double()
    optimiser = torch.optim.LBFGS(converter.parameters(), lr=1, max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        error = (converter(x) - targets).square().mean()
        error.backward()
        return error

    before = loss().item()
    optimiser.step(loss)
    assert loss().item() < 1e-8 * before


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_converting_poses_leaves_the_hip(architecture: str) -> None:
    converter = some_converter(architecture)
    vectors = some_vectors(7)
    poses_3d = poses_of(vectors)
    before = poses_3d.clone()
    converted = converter.convert(poses_3d)
    assert converted.shape == (7, 16, 3)
    assert (converted[:, 0] == 0).all()
    torch.testing.assert_close(converted[:, 1:].reshape(7, 45), converter(vectors))
    assert torch.equal(poses_3d, before)


def test_unknown_architecture() -> None:
    with pytest.raises(ValueError, match="residual, map"):
        PoseConverter(architecture="mlp")


def poses_of(vectors: Tensor) -> Tensor:
    poses_3d = vectors.new_zeros(len(vectors), 16, 3)
    poses_3d[:, 1:] = vectors.view(-1, 15, 3)
    return poses_3d


# Gradient reversal


@pytest.mark.parametrize("coefficient", [1.0, 0.25, 0.0])
def test_gradient_is_reversed(coefficient: float) -> None:
    x = torch.randn(4, 3, generator=generator(0), requires_grad=True)
    factors = torch.randn(4, 3, generator=generator(1))
    y = reverse_gradient(x, coefficient)
    assert torch.equal(y, x)
    (y * factors).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, -coefficient * factors)


def test_reversal_pulls_the_two_sides_apart() -> None:
    """The classifier's gradient is the usual one, the lifting network's is the opposite of the usual one."""
    lifting, classifier = nn.Linear(6, 45), DomainClassifier(hid_dim=8)
    inputs, labels = torch.randn(10, 6, generator=generator(0)), torch.arange(10) % 2
    gradients = []
    for reverse in (False, True):
        vectors = lifting(inputs)
        logits = classifier(reverse_gradient(vectors, 0.5) if reverse else vectors)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels.float())
        gradients.append(torch.autograd.grad(loss, [lifting.weight, classifier.layers[0].weight]))
    (straight, straight_classifier), (turned, turned_classifier) = gradients
    assert straight.abs().max() > 1e-4
    torch.testing.assert_close(turned, -0.5 * straight)
    torch.testing.assert_close(turned_classifier, straight_classifier)


def test_warm_start() -> None:
    assert warm_start(0) == 0
    assert warm_start(500) == pytest.approx(math.tanh(0.25))  # 2 / (1 + exp(-u)) - 1 = tanh(u / 2)
    assert warm_start(1000) == pytest.approx(0.4621171572600098)
    assert warm_start(100_000) == pytest.approx(1)
    assert warm_start(1000, alpha=10) == pytest.approx(math.tanh(5))
    assert warm_start(100, max_steps=100) == warm_start(1000)
    assert warm_start(0, low=0.2, high=0.8) == pytest.approx(0.2)
    assert warm_start(1000, low=0.2, high=0.8) == pytest.approx(0.2 + 0.6 * 0.4621171572600098)
    assert warm_start(100_000, low=0.2, high=0.8) == pytest.approx(0.8)
    values = [warm_start(step) for step in range(0, 5000, 100)]
    assert values == sorted(set(values))


# Domain classifier


def test_classifier_equals_its_description_in_evaluation() -> None:
    classifier = DomainClassifier(hid_dim=8).double().eval()
    for module in classifier.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    state = {name: value.numpy() for name, value in classifier.state_dict().items()}
    vectors = some_vectors(7)
    x = vectors.numpy()
    for linear, norm in ((0, 1), (3, 4)):
        x = x @ state[f"layers.{linear}.weight"].T + state[f"layers.{linear}.bias"]
        x = (x - state[f"layers.{norm}.running_mean"]) / np.sqrt(state[f"layers.{norm}.running_var"] + 1e-5)
        x = np.maximum(x * state[f"layers.{norm}.weight"] + state[f"layers.{norm}.bias"], 0)
    expected = (x @ state["layers.6.weight"].T + state["layers.6.bias"])[:, 0]
    logits = classifier(vectors)
    assert logits.shape == (7,)
    np.testing.assert_allclose(logits.detach(), expected, rtol=1e-10, atol=1e-12)
    assert classifier(vectors[:1]).shape == (1,)


def test_classifier_size() -> None:
    size = sum(parameter.numel() for parameter in DomainClassifier().parameters())
    assert size == (45 * 128 + 128 + 2 * 128) + (128 * 128 + 128 + 2 * 128) + (128 + 1)


def test_classifier_tells_two_domains_apart() -> None:
    classifier = DomainClassifier(hid_dim=16)
    source, target = torch.randn(64, 45, generator=generator(0)) + 0.5, torch.randn(64, 45, generator=generator(1))
    vectors, labels = torch.cat([source, target]), torch.cat([torch.ones(64), torch.zeros(64)])
    optimiser = torch.optim.Adam(classifier.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(classifier(vectors), labels).backward()
        optimiser.step()
    assert ((classifier(vectors) > 0) == (labels == 1)).float().mean() > 0.95
