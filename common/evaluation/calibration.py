"""What an uncertainty says in millimetres, learnt on the source's validation split and kept in the checkpoint.

A network's uncertainty is a relative error or a length in metres, whatever its head was trained for. Isotonic regression makes
millimetres of error of it, and split-conformal prediction (Vovk et al. 2005; Lei et al., JASA 2018) a radius around each
joint that holds a chosen share of them. Both see the source's validation split alone, never a label of the target.

Frames of a clip resemble each other, so they are exchangeable clip by clip at best: the radii's coverage is that of many more
independent poses than there are, and across data sets nothing promises it. The curve and the radii come from the same poses,
which flatters a curve of at most 64 knots very little. `common.uncertainty.scores` measures what holds on test data.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.errors import DuaError
from common.evaluation.metrics import joint_errors
from common.evaluation.weighted import ShiftAware
from common.geometry.skeleton import NUM_JOINTS, ROOT

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Shares of joints that the conformal radii hold."""
UNITS = ("relative", "metres")
"""Of uncertainties: |p - t| / (|p| + |t|), or a length (a standard deviation)."""

_KNOTS = 64
_FARTHEST_MM = 1e6
"""Where a line ends: nothing that a network predicts is a kilometre off."""
_LEAST_MM = 1e-3
"""No error is foreseen to be less: radii are multiples of it."""


@dataclass(frozen=True)
class Calibration:
    """A monotone curve from uncertainty to error, and the quantiles of the errors' ratio to it.

    Attributes:
        unit: of the uncertainty, one of `UNITS`.
        expected_norms: (16) metres, mean distance of each joint from the hip; stands in for the unknown |t|.
        raw_mm, error_mm: the knots; between them the curve is straight, outside it is level.
        quantiles: of true / calibrated error, at `LEVELS`.
        poses: how many it was fitted on.
        shift: scores of some of them, for radii of poses that are unlike them; older checkpoints have none.
    """

    unit: str
    expected_norms: tuple[float, ...]
    raw_mm: tuple[float, ...]
    error_mm: tuple[float, ...]
    quantiles: tuple[float, ...]
    poses: int
    shift: ShiftAware | None = None

    @classmethod
    def fit(
        cls,
        uncertainty: Tensor,
        predicted: Tensor,
        targets_3d: Tensor,
        unit: str = "relative",
        inputs_2d: Tensor | None = None,
        proportional: bool = False,
    ) -> "Calibration":
        """Fit on labelled poses; the hip, which has no error, is left out.

        The joints are sorted into at most 64 groups by uncertainty (`group_means`); isotonic regression of the groups' mean
        errors on their mean uncertainties gives the knots.

        Args:
            proportional: the curve is a line through the origin instead, which goes on rising beyond what it was fitted to.

        Shape:
            uncertainty (N, 16) in `unit`; predicted, targets_3d (N, 16, 3) metres from the hip; inputs_2d (N, 16, 2) as the
            network got them, if radii are to heed how new poses differ.

        Raises:
            DuaError: there are no poses, or something is NaN or infinite.
        """
        from scipy.optimize import isotonic_regression  # here, not above: scripts that fit nothing need not wait for it

        targets_3d = targets_3d.cpu()
        norms = torch.linalg.vector_norm(targets_3d.double(), dim=-1)  # (N, 16)
        expected_norms = norms.mean(dim=0) if len(norms) else norms.new_zeros(NUM_JOINTS)
        expected_norms[ROOT] = 0
        raw = _raw_mm(uncertainty, predicted, expected_norms.numpy(), unit)[:, ROOT + 1 :].ravel()
        errors = joint_errors(predicted.cpu(), targets_3d)[:, ROOT + 1 :].double().numpy().ravel() * 1000
        if not len(raw) or not (np.isfinite(raw).all() and np.isfinite(errors).all()):
            raise DuaError(
                "the uncertainty cannot be calibrated: predictions on the source's validation split are "
                + ("NaN or infinite; lower --lr" if len(raw) else "missing, it has no poses")
            )
        if proportional:
            knots = np.array([0.0, _FARTHEST_MM])
            curve = knots * errors.mean() / max(raw.mean(), _LEAST_MM)
        else:
            knots, means, counts = group_means(raw, errors, _KNOTS)
            curve = isotonic_regression(means, weights=counts).x
        curve = np.maximum(curve, _LEAST_MM)
        ratios = errors / np.interp(raw, knots, curve)
        scores = np.sort(ratios)
        # ceil((n + 1) level) of n, so that a new exchangeable joint is held with at least that probability. Of too few joints
        # for a level (fewer than 19 for 95 %) the largest must do.
        ranks = [min(len(scores), math.ceil((len(scores) + 1) * level)) for level in LEVELS]
        quantiles = tuple(float(scores[rank - 1]) for rank in ranks)
        shift = None
        if inputs_2d is not None:
            shift = ShiftAware.of(inputs_2d.cpu().numpy(), ratios.reshape(len(norms), -1))
        return cls(
            unit, tuple(expected_norms.tolist()), tuple(knots.tolist()), tuple(curve.tolist()), quantiles, len(norms), shift
        )

    def millimetres(self, uncertainty: Tensor, poses_3d: Tensor) -> Tensor:
        """The expected error of each predicted joint in millimetres, 0 for the hip.

        Shape:
            uncertainty (N, 16) in `unit`, poses_3d (N, 16, 3) metres, predicted -> (N, 16) on the device of `poses_3d`.
        """
        raw = _raw_mm(uncertainty, poses_3d, np.array(self.expected_norms), self.unit)
        millimetres = torch.from_numpy(np.interp(raw, self.raw_mm, self.error_mm)).float()
        millimetres[:, ROOT] = 0
        return millimetres.to(poses_3d.device)

    def quantile(self, level: float) -> float:
        """What to multiply `millimetres` by, so that the radius around a joint holds the true one with probability `level`."""
        return self.quantiles[LEVELS.index(level)]

    def radii(self, uncertainty: Tensor, poses_3d: Tensor, inputs_2d: Tensor, level: float = 0.9) -> Tensor:
        """(N, 16) millimetres around each predicted joint that hold the true one with probability `level`, 0 for the hip.

        Calibration scores count by how much the poses they are of are like these, which are to be of one clip (`common.evaluation.weighted`):
        radii grow where these are unlike all of them.

        Shape:
            uncertainty (N, 16), poses_3d (N, 16, 3), inputs_2d (N, 16, 2) as the network gets them.
        """
        factors = torch.full((len(poses_3d), 1), self.quantile(level))
        if self.shift is not None and len(poses_3d):
            factors = torch.from_numpy(self.shift.quantiles(inputs_2d.detach().cpu().numpy(), level)).float()[:, None]
        return self.millimetres(uncertainty, poses_3d) * factors.to(poses_3d.device)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {
            "unit": self.unit,
            "expected_norms": list(self.expected_norms),
            "raw_mm": list(self.raw_mm),
            "error_mm": list(self.error_mm),
            "levels": list(LEVELS),
            "quantiles": list(self.quantiles),
            "poses": self.poses,
            **({"shift": self.shift.to_dict()} if self.shift else {}),
        }

    @classmethod
    def from_dict(cls, content: Any) -> "Calibration":
        """Inverse of `to_dict`.

        Raises:
            DuaError: the content is no calibration that can be used.
        """
        try:
            norms, knots, curve, quantiles = (
                np.array(content[name], dtype=np.float64) for name in ("expected_norms", "raw_mm", "error_mm", "quantiles")
            )
            usable = (
                content["unit"] in UNITS
                and norms.shape == (NUM_JOINTS,)
                and knots.shape == curve.shape
                and knots.ndim == 1
                and 1 <= len(knots) <= _KNOTS
                and tuple(content["levels"]) == LEVELS
                and quantiles.shape == (len(LEVELS),)
                and all(np.isfinite(values).all() and (values >= 0).all() for values in (norms, knots, curve, quantiles))
                and (np.diff(knots) > 0).all()
                and (np.diff(curve) >= 0).all()
                and (curve > 0).all()
                and (np.diff(quantiles) >= 0).all()
            )
            poses = int(content["poses"])
            shift = content.get("shift")
        except (KeyError, TypeError, ValueError) as error:
            raise DuaError(f"the calibration is damaged ({error!r})") from error
        if not usable:
            raise DuaError("the calibration is damaged: a rising curve from uncertainty to millimetres was expected")
        parts = {"expected_norms": norms, "raw_mm": knots, "error_mm": curve, "quantiles": quantiles}
        kept = None if shift is None else ShiftAware.from_dict(shift)
        return cls(
            unit=content["unit"], poses=poses, shift=kept, **{name: tuple(values.tolist()) for name, values in parts.items()}
        )


def group_means(x: np.ndarray, y: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean x, mean y and size of at most `groups` groups of equal size, by rising x. Equal x are never parted: ties make groups
    fewer and unequal, and no mean x comes twice."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, groups + 1)))
    group = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, max(len(edges) - 2, 0))
    counts = np.bincount(group)
    filled = counts > 0
    means, first = np.unique(np.bincount(group, x)[filled] / counts[filled], return_index=True)
    return means, (np.bincount(group, y)[filled] / counts[filled])[first], counts[filled][first]


def stored_calibration(checkpoint: Mapping[str, Any], path: Any) -> Calibration | None:
    """The calibration in a checkpoint (`path` is for the message), or None: without an estimator, in a checkpoint that was
    saved in the middle of an epoch, and in one made before there were calibrations.

    Raises:
        DuaError: it is damaged.
    """
    if checkpoint.get("calibration") is None:
        return None
    try:
        return Calibration.from_dict(checkpoint["calibration"])
    except DuaError as error:
        raise DuaError(f"{path}: {error}; give another checkpoint of the run") from error


def _raw_mm(uncertainty: Tensor, poses_3d: Tensor, expected_norms: np.ndarray, unit: str) -> np.ndarray:
    """(N, 16) uncertainties in millimetres, not calibrated yet. A relative error times |p| + |t| is an error."""
    raw = uncertainty.detach().cpu().double().numpy() * 1000
    if unit == "metres":
        return raw
    norms = torch.linalg.vector_norm(poses_3d.detach().cpu().double(), dim=-1).numpy()
    return raw * (norms + expected_norms)
