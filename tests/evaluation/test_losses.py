"""Losses: the relative error's bounds, no gradient through the estimator's target, and the domain loss with its reversal."""

import math

import pytest
import torch
from torch import nn

from common.evaluation.losses import domain_loss, gaussian_nll, relative_error, uncertainty_loss
from models.domain_classifier import DomainClassifier
from models.uncertainty import GaussianEstimator


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


def test_gaussian_nll_is_that_of_a_multivariate_normal():
    predicted, target = poses(0).requires_grad_(), poses(1)
    sigma = (0.1 + torch.rand(8, 16, generator=torch.Generator().manual_seed(2))).requires_grad_()
    loss = gaussian_nll(sigma, predicted, target)
    covariance = torch.diag_embed(sigma[:, 1:, None].expand(-1, -1, 3) ** 2)
    normal = torch.distributions.MultivariateNormal(predicted[:, 1:], covariance)
    torch.testing.assert_close(loss, -normal.log_prob(target[:, 1:]).mean())
    loss.backward()
    assert predicted.grad is None  # the error is a constant
    assert not sigma.grad[:, 0].any()


def test_the_gaussian_estimator_stays_between_a_millimetre_and_ten_metres():
    torch.manual_seed(0)
    estimator = GaussianEstimator(feature_size=4)
    sigma = estimator(torch.randn(64, 4) * 1e4).detach()
    assert sigma.shape == (64, 16)
    assert not sigma[:, 0].any()
    assert sigma[:, 1:].min() == pytest.approx(1e-3, rel=1e-3)
    assert sigma[:, 1:].max() == pytest.approx(10, rel=1e-3)
    with torch.no_grad():
        for parameter in estimator.parameters():
            parameter.zero_()
    torch.testing.assert_close(estimator(torch.ones(1, 4))[:, 1:], torch.full((1, 15), 0.1))


class FirstCoordinate(nn.Module):
    """Logits that are the first coordinate after the hip's."""

    def forward(self, vectors):
        assert vectors.shape[1:] == (45,)
        return vectors[:, 0]


def lifted(*values):
    pose = torch.zeros(len(values), 16, 3)
    pose[:, 1, 0] = torch.tensor(values)
    return pose


def test_domain_loss_is_the_cross_entropy_with_source_1_and_target_0():
    loss, accuracy = domain_loss(FirstCoordinate(), lifted(2.0, -1.0, 0.5), lifted(-3.0, 0.25), 1.0)
    expected = [math.log1p(math.exp(-x)) for x in (2.0, -1.0, 0.5)] + [math.log1p(math.exp(x)) for x in (-3.0, 0.25)]
    assert loss.item() == pytest.approx(sum(expected) / 5)
    assert accuracy.item() == pytest.approx(3 / 5)


@pytest.mark.parametrize("coefficient", [0.0, 0.3, 1.0])
def test_domain_loss_reverses_what_reaches_the_poses_and_not_the_classifiers_own(coefficient):
    def gradients(c):
        torch.manual_seed(0)
        classifier, poses_s, poses_t = DomainClassifier(hid_dim=8), poses(0).requires_grad_(), poses(1).requires_grad_()
        loss, accuracy = domain_loss(classifier, poses_s, poses_t, c)
        loss.backward()
        assert not accuracy.requires_grad
        return poses_s.grad, poses_t.grad, [parameter.grad for parameter in classifier.parameters()]

    plain, found = gradients(-1.0), gradients(coefficient)  # -1 undoes the reversal
    for a, b in zip(plain[:2], found[:2]):
        torch.testing.assert_close(b, -coefficient * a)
        assert not b[:, 0].any()  # the hip is not shown
    assert all(torch.equal(a, b) for a, b in zip(plain[2], found[2]))


def test_both_domains_pass_the_classifier_in_one_batch():
    """Were each normalised by itself, two domains that differ by a shift would look alike."""
    batches = []

    class Recorder(FirstCoordinate):
        def forward(self, vectors):
            batches.append(len(vectors))
            return super().forward(vectors)

    domain_loss(Recorder(), poses(0), poses(1)[:5], 1.0)
    assert batches == [13]
