"""Metrics against a plain numpy transcription of their definitions, pose by pose."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.evaluation.metrics import _rotation_closed, auc, mpjpe, n_mpjpe, p_mpjpe, pck, procrustes_align


def numpy_mpjpe(predicted, target):
    return np.mean([np.sqrt(np.sum((p - t) ** 2)) for p, t in zip(predicted, target)])


def numpy_procrustes(predicted, target):
    """Umeyama 1991, equations 38 to 42, for one pose: min over R, s, m of sum |t - (s R p + m)|^2, with det R = 1."""
    mean_p, mean_t = predicted.mean(axis=0), target.mean(axis=0)
    p, t = predicted - mean_p, target - mean_t
    covariance = t.T @ p / len(p)
    u, d, vt = np.linalg.svd(covariance)
    s = np.eye(3)
    if np.linalg.det(u) * np.linalg.det(vt) < 0:
        s[2, 2] = -1
    rotation = u @ s @ vt
    scale = np.trace(np.diag(d) @ s) / (np.sum(p**2) / len(p))
    return scale * p @ rotation.T + mean_t


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(3)
    target = torch.randn(40, 16, 3, generator=generator) * 0.4
    target = target - target[:, :1]
    predicted = target + torch.randn(40, 16, 3, generator=generator) * 0.1
    return predicted - predicted[:, :1], target


def test_mpjpe_is_the_mean_distance(pair):
    predicted, target = pair
    expected = [numpy_mpjpe(p, t) for p, t in zip(predicted.numpy(), target.numpy())]
    np.testing.assert_allclose(mpjpe(predicted, target), expected, rtol=1e-5)


def test_p_mpjpe_is_umeyamas(pair):
    predicted, target = pair
    expected = [numpy_mpjpe(numpy_procrustes(p, t), t) for p, t in zip(predicted.double().numpy(), target.double().numpy())]
    np.testing.assert_allclose(p_mpjpe(predicted, target), expected, rtol=1e-5)


def test_a_mirrored_pose_is_not_aligned_by_reflection(pair):
    """The guard: a reflection would bring the error to 0, a proper rotation cannot."""
    _, target = pair
    mirrored = target * torch.tensor([-1.0, 1.0, 1.0])
    expected = [numpy_mpjpe(numpy_procrustes(p, t), t) for p, t in zip(mirrored.double().numpy(), target.double().numpy())]
    np.testing.assert_allclose(p_mpjpe(mirrored, target), expected, rtol=1e-5)
    assert p_mpjpe(mirrored, target).min() > 0.05


def test_p_mpjpe_forgets_rotation_translation_and_scale(pair):
    _, target = pair
    angle = 0.7
    rotation = torch.tensor(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]], dtype=torch.float32
    )
    moved = 2.5 * target @ rotation.T + torch.tensor([1.0, -2.0, 3.0])
    assert p_mpjpe(moved, target).max() < 1e-6
    assert mpjpe(moved, target).min() > 0.5


@pytest.mark.parametrize("dimensions", [0, 1, 2])
def test_degenerate_poses_stay_finite(pair, dimensions):
    """A prediction that is a point, a line or a plane: rank-deficient covariances."""
    _, target = pair
    flat = target.clone()
    flat[..., dimensions:] = 0
    aligned = procrustes_align(flat, target)
    assert torch.isfinite(aligned).all()
    if dimensions == 0:
        centre = target.mean(dim=1, keepdim=True).expand_as(target)
        torch.testing.assert_close(aligned, centre, atol=1e-6, rtol=0)
    else:
        spread = torch.linalg.vector_norm(target - target.mean(dim=1, keepdim=True), dim=-1).mean(dim=-1)
        assert (mpjpe(aligned, target) <= spread * 1.2).all()
    assert torch.isfinite(p_mpjpe(target, flat)).all()


def by_svd(predicted, target):
    """Rotation by SVD, for a batch: what the closed form must agree with."""
    mean_p, mean_t = predicted.mean(dim=1, keepdim=True), target.mean(dim=1, keepdim=True)
    p, t = predicted - mean_p, target - mean_t
    u, d, vt = torch.linalg.svd(p.transpose(1, 2) @ t)
    d[:, 2] *= torch.linalg.det(u) * torch.linalg.det(vt)
    u[:, :, 2] *= (torch.linalg.det(u) * torch.linalg.det(vt))[:, None]
    size = (p**2).sum(dim=(1, 2))
    scale = torch.where(size > 1e-12, d.sum(dim=1) / size.clamp_min(1e-12), torch.zeros_like(size))
    return scale[:, None, None] * (p @ u @ vt) + mean_t, d


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    extent=st.tuples(*[st.sampled_from([0.0, 1e-9, 1e-6, 1e-3, 0.03, 0.3, 1.0])] * 3),
    noise=st.sampled_from([0.0, 1e-7, 1e-3, 0.05, 1.0]),
    mirrored=st.booleans(),
    metres=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_alignment_is_the_svds(seed, extent, noise, mirrored, metres):
    """Points, lines, planes, mirror images, near ones and far ones: as well aligned as by SVD, and where only one rotation is
    best, by the same one."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(2, 30, 16, 3, generator=generator, dtype=torch.float64)
    target = metres * draws[0] * torch.tensor(extent, dtype=torch.float64)
    predicted = 0.7 * target * torch.tensor([-1.0 if mirrored else 1.0, 1.0, 1.0]) + metres * noise * draws[1]
    aligned = procrustes_align(predicted, target)
    expected, singular = by_svd(predicted, target)

    def residual(poses):
        return torch.linalg.vector_norm(poses - target, dim=(1, 2))

    tolerance = 1e-6 * max(metres, 1e-3)
    torch.testing.assert_close(residual(aligned), residual(expected), rtol=0, atol=tolerance)
    unique = singular[:, 1] + singular[:, 2] > 1e-5 * singular[:, 0]
    torch.testing.assert_close(aligned[unique], expected[unique], rtol=0, atol=tolerance)


def test_the_closed_form_takes_ordinary_poses_and_leaves_the_others(pair):
    predicted, target = pair
    covariance = (predicted - predicted.mean(1, keepdim=True)).transpose(1, 2) @ (target - target.mean(1, keepdim=True))
    rotation, _, certain = _rotation_closed(covariance.double())
    assert certain.all()
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).double().expand_as(rotation), rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(len(rotation)).double(), rtol=0, atol=1e-10)
    line = torch.zeros(1, 3, 3).double()
    line[0, 0, 0] = 1
    for matrix in (line, torch.zeros_like(line), torch.diag_embed(torch.tensor([[1.0, 1.0, -1.0]]).double())):
        assert not _rotation_closed(matrix)[2].any()


def test_n_mpjpe_takes_the_best_scale(pair):
    predicted, target = pair
    assert n_mpjpe(3 * target, target).max() < 1e-6
    p, t = predicted[0].double().numpy(), target[0].double().numpy()
    scales = np.linspace(0.5, 1.5, 20001)
    squared = [np.sum((scale * p - t) ** 2) for scale in scales]
    best = scales[int(np.argmin(squared))]
    assert n_mpjpe(predicted, target)[0] == pytest.approx(numpy_mpjpe(best * p, t), rel=1e-4)


def test_pck_and_auc_count_joints():
    target = torch.zeros(1, 16, 3)
    predicted = target.clone()
    predicted[0, :4, 0] = 0.2  # a quarter of the joints is 200 mm off, another 72 mm
    predicted[0, 4:8, 1] = 0.072
    assert pck(predicted, target).item() == pytest.approx(0.75)
    # Half of the joints is right at every threshold above 0; a quarter from 75 mm on (16 of the 31 thresholds).
    assert auc(predicted, target).item() == pytest.approx((0.5 * 30 + 0.25 * 16) / 31)


def test_joints_that_do_not_count_have_no_say(pair):
    """As if they were not there, whatever stands in their place."""
    predicted, target = (poses.double() for poses in pair)
    counted = torch.rand(target.shape[:2], generator=torch.Generator().manual_seed(5)) < 0.7
    counted[:, :4] = True
    assert (~counted).any(dim=1).sum() > 30
    holed = target.masked_fill(~counted[..., None], torch.nan)
    for metric in (mpjpe, n_mpjpe, p_mpjpe):
        expected = [metric(p[None, known], t[None, known]).item() for p, t, known in zip(predicted, target, counted)]
        np.testing.assert_allclose(metric(predicted, holed, counted), expected, rtol=1e-9)
        np.testing.assert_allclose(metric(predicted, target, torch.ones_like(counted)), metric(predicted, target), rtol=1e-9)
    aligned = procrustes_align(predicted, holed, counted)
    assert torch.isfinite(aligned).all()  # those that do not count are moved with the others
