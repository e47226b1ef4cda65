"""How good an uncertainty is: does it rank errors, does it tell their size, and do its radii hold what they promise.

All figures are of the joints that are not the hip, or of poses, whose error is the MPJPE (16 joints, as everywhere) and whose
uncertainty is the mean of their joints'. Equal uncertainties are treated as if they stood in every order, on average: a constant
uncertainty scores as a random one is expected to.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from common.evaluation.calibration import LEVELS, Calibration, group_means
from common.evaluation.metrics import joint_errors
from common.geometry.skeleton import ROOT

BINS = 20
"""Groups of equal size of the reliability diagram and of ENCE."""
SPREAD = (0.1, 0.25, 0.75, 0.9)
"""Quantiles of the true errors in each bin of the reliability diagram."""
_CURVE_POINTS = 101


@dataclass(frozen=True)
class Scores:
    """One uncertainty on one test set.

    Attributes:
        mpjpe_mm: of the poses that were judged.
        ause_pose, ause_joint: area between the sparsification curves, see `ause`; 0 is perfect.
        ence: of joints, see `ence`; 0 is perfect. None where the uncertainty is no length.
        spearman_pose, spearman_joint: rank correlation with the true error; None for a constant.
        coverage: {level: share of joints within their conformal radius}, radius_mm: {level: its mean}; or None.
        weighted_coverage, weighted_radius_mm: the same of 90 % radii in which calibration's scores count by how much its poses are like
            those of the clip (`common.evaluation.weighted`); or None.
        sparsification: {"removed", "uncertainty", "oracle"}: shares of poses, and the mean error of those that are left,
            divided by that of all.
        reliability: {"expected_mm", "error_mm", "joints", "error_mm_10%", ...} of each bin: means, how many, quantiles
            (`SPREAD`); or None.
    """

    poses: int
    mpjpe_mm: float
    ause_pose: float
    ause_joint: float
    ence: float | None
    spearman_pose: float | None
    spearman_joint: float | None
    coverage: dict[str, float] | None
    radius_mm: dict[str, float] | None
    weighted_coverage: float | None
    weighted_radius_mm: float | None
    sparsification: dict[str, list[float]]
    reliability: dict[str, list[float]] | None

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def score(
    expected_mm: Tensor,
    predicted: Tensor,
    targets_3d: Tensor,
    calibration: Calibration | None,
    weighted_mm: Tensor | None = None,
) -> Scores:
    """Judge the expected errors of predicted joints.

    Args:
        calibration: that made millimetres of the uncertainty; None if `expected_mm` only ranks, and is no length.
        weighted_mm: (N, 16) radii of 90 %, weighted clip by clip.

    Shape:
        expected_mm (N, 16); predicted, targets_3d (N, 16, 3) metres.
    """
    errors = joint_errors(predicted, targets_3d).double().numpy() * 1000  # (N, 16)
    guesses = expected_mm.double().numpy()
    pose_error, pose_guess = errors.mean(axis=1), guesses.mean(axis=1)
    error, guess = errors[:, ROOT + 1 :].ravel(), guesses[:, ROOT + 1 :].ravel()
    curves = {"uncertainty": sparsification(pose_guess, pose_error), "oracle": sparsification(pose_error, pose_error)}
    places = np.linspace(0, len(pose_error) - 1, _CURVE_POINTS).round().astype(int)
    coverage, radius, reliability = None, None, None
    if calibration is not None:
        radii = {f"{level:.0%}": calibration.quantile(level) * guess for level in LEVELS}
        coverage = {level: float((error <= values).mean()) for level, values in radii.items()}
        radius = {level: float(values.mean()) for level, values in radii.items()}
        means = group_means(guess, error, BINS)
        reliability = {name: v.tolist() for name, v in zip(("expected_mm", "error_mm", "joints"), means, strict=True)}
        bins = np.split(error[np.argsort(guess, kind="stable")], np.cumsum(means[2])[:-1])
        reliability |= {f"error_mm_{q:.0%}": [float(np.quantile(values, q)) for values in bins] for q in SPREAD}
    weighted = None if weighted_mm is None else weighted_mm.double().numpy()[:, ROOT + 1 :].ravel()
    return Scores(
        poses=len(errors),
        mpjpe_mm=float(pose_error.mean()),
        ause_pose=ause(pose_guess, pose_error),
        ause_joint=ause(guess, error),
        ence=ence(guess, error) if calibration else None,
        spearman_pose=spearman(pose_guess, pose_error),
        spearman_joint=spearman(guess, error),
        coverage=coverage,
        radius_mm=radius,
        weighted_coverage=None if weighted is None else float((error <= weighted).mean()),
        weighted_radius_mm=None if weighted is None else float(weighted.mean()),
        sparsification={"removed": (places / len(pose_error)).tolist()} | {k: v[places].tolist() for k, v in curves.items()},
        reliability=reliability,
    )


def sparsification(uncertainty: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Mean error of what is left when the 0, 1, ..., n - 1 most uncertain are taken away, divided by the mean error of all.

    Shape:
        (n,), (n,) -> (n,), beginning with 1; all 1 if there is no error.
    """
    _, tie, size = np.unique(uncertainty, return_inverse=True, return_counts=True)
    expected = (np.bincount(tie, error) / size)[np.sort(tie)]  # by rising uncertainty; what stands at a tie's places on average
    left = np.cumsum(expected) / np.arange(1, len(error) + 1)  # means of the 1, 2, ..., n least uncertain
    return left[::-1] / left[-1] if left[-1] > 0 else np.ones(len(error))


def ause(uncertainty: np.ndarray, error: np.ndarray) -> float:
    """Area under the sparsification error (Ilg et al., ECCV 2018): between the curve of the uncertainty and that of an oracle
    which takes the largest errors away first. The curves begin at 1, so it is a share of the mean error; 0 ranks perfectly."""
    return float(np.mean(sparsification(uncertainty, error) - sparsification(error, error)))


def ence(expected: np.ndarray, error: np.ndarray, bins: int = BINS) -> float:
    """Expected normalised calibration error (Levi et al., Sensors 2022, 22(15), 5540), in its form for expected errors.

    The mean over bins, weighted by their size, of |mean expected - mean true error| / mean expected; equal values, such as all
    beyond a calibration's last knot, stay in one bin, which may be large. Levi et al. compare standard deviations with root
    mean squares; a calibrated length is a mean of errors, so means are compared.
    """
    means, truth, sizes = group_means(expected, error, bins)
    return float(np.average(np.abs(means - truth) / means, weights=sizes))


def spearman(uncertainty: np.ndarray, error: np.ndarray) -> float | None:
    """Rank correlation, ties at their mean rank; None where either is constant."""
    from scipy.stats import rankdata  # here, not above: it takes a while that other scripts need not wait for

    a, b = (ranks - ranks.mean() for ranks in (rankdata(uncertainty), rankdata(error)))
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else None
