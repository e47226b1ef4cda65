"""Losses: the relative error's bounds, and that no gradient flows through the estimator's target."""

import torch

from common.losses import relative_error, uncertainty_loss


def poses(seed):
    pose = torch.randn(8, 16, 3, generator=torch.Generator().manual_seed(seed))
    return pose - pose[:, :1]


def test_relative_error_is_the_written_formula():
    predicted = torch.tensor([[[0.0, 0, 0], [3.0, 0, 0], [1.0, 0, 0]]])
    target = torch.tensor([[[0.0, 0, 0], [0.0, 4.0, 0], [-1.0, 0, 0]]])
    # Hip: 0 / 0 counts as 0; 3-4-5 triangle: 5 / 7; opposite joints: the bound 1.
    torch.testing.assert_close(relative_error(predicted, target), torch.tensor([[0.0, 5 / 7, 1.0]]))


def test_relative_error_lies_between_0_and_1():
    error = relative_error(poses(0), poses(1))
    assert error.min() >= 0
    assert error.max() <= 1
    assert torch.equal(relative_error(poses(0), poses(0)), torch.zeros(8, 16))


def test_the_estimators_target_is_a_constant():
    predicted, target = poses(0).requires_grad_(), poses(1)
    uncertainty = torch.full((8, 16), 0.5, requires_grad=True)
    uncertainty_loss(uncertainty, predicted, target).backward()
    assert predicted.grad is None
    assert uncertainty.grad is not None
    assert uncertainty.grad[:, 1:].abs().min() > 0
    assert torch.equal(uncertainty.grad[:, 0], torch.zeros(8))  # the hip has no error to foresee


def test_uncertainty_loss_is_the_mean_absolute_difference():
    predicted, target = poses(0), poses(1)
    truth = torch.linalg.vector_norm(predicted - target, dim=-1) / (
        torch.linalg.vector_norm(predicted, dim=-1) + torch.linalg.vector_norm(target, dim=-1)
    )
    guess = torch.rand(8, 16, generator=torch.Generator().manual_seed(2))
    expected = sum(abs(float(guess[n, j]) - float(truth[n, j])) for n in range(8) for j in range(1, 16)) / (8 * 15)
    assert abs(uncertainty_loss(guess, predicted, target).item() - expected) < 1e-6
