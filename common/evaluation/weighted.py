"""Conformal radii under covariate shift: calibration errors count by how much the poses they are of are like those that are asked for.

Tibshirani, Barber, Candes, Ramdas, "Conformal Prediction Under Covariate Shift", NeurIPS 2019. With scores V_i of calibration
poses, w(x) the likelihood ratio of the new inputs to the calibration's, and a new pose x,

    radius(x) = the level-quantile of  sum_i p_i delta(V_i) + p_x delta(V_max),    p proportional to w,

where V_max, the largest score, stands for the infinity of the paper. Likelihood ratios are those of a probabilistic classifier, here a
logistic regression on what both have in common. The less the new poses are like any that were calibrated on, the more of the weight
lies on few scores and on the last term: radii grow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from common.errors import DuaError, short_reason

_POSES = 1024
"""Of the calibration, that are kept."""
_DIRECTIONS = 8
"""Principal directions of the inputs that tell the domains apart; with all 32 numbers any clip is told apart from all other poses."""
_RIDGE = 1.0
_STEPS = 25


@dataclass(frozen=True)
class ShiftAware:
    """What is kept of a calibration.

    Attributes:
        inputs: (N, 32) float16, 2D joints as the network gets them.
        scores: (N, 15) float16, true error over the expected one, of all joints but the hip.
    """

    inputs: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, inputs_2d: np.ndarray, ratios: np.ndarray) -> Self:
        """Some of calibration's poses, evenly spaced. Shape: inputs_2d (N, 16, 2), ratios (N, 15)."""
        rows = np.linspace(0, len(inputs_2d) - 1, min(_POSES, len(inputs_2d))).astype(int)
        return cls(inputs_2d[rows].reshape(len(rows), -1).astype(np.float16), ratios[rows].astype(np.float16))

    def quantiles(self, inputs_2d: np.ndarray, level: float) -> np.ndarray:
        """(T,) what to multiply expected errors of new poses (T, 16, 2) by, so that the radii hold `level` of the joints."""
        new = inputs_2d.reshape(len(inputs_2d), -1).astype(np.float64)
        of_calibration, of_new = likelihood_ratios(self._known, new)
        return self._rising.quantiles(of_calibration, of_new, level)

    # One calibration is asked for clip after clip.
    @cached_property
    def _known(self) -> "Known":
        return Known(self.inputs.astype(np.float64))

    @cached_property
    def _rising(self) -> "Rising":
        return Rising(self.scores.astype(np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint: hexadecimal, as a list of numbers would be three times as long."""
        return {"poses": len(self.inputs), "inputs": self.inputs.tobytes().hex(), "scores": self.scores.tobytes().hex()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises:
            DuaError: the content cannot be used.
        """
        try:
            count = int(content["poses"])
            inputs, scores = (
                np.frombuffer(bytes.fromhex(content[name]), dtype=np.float16).reshape(count, width)
                for name, width in (("inputs", 32), ("scores", 15))
            )
            if not count or not (np.isfinite(inputs).all() and (scores >= 0).all() and np.isfinite(scores).all()):
                raise ValueError("no finite numbers")
        except (KeyError, TypeError, ValueError) as error:
            raise DuaError(f"the calibration's scores are damaged ({short_reason(error)})") from error
        return cls(inputs, scores)


class Known:
    """Calibration's inputs (N, D), and the places of others on their principal directions."""

    def __init__(self, inputs: np.ndarray) -> None:
        self._mean = inputs.mean(axis=0)
        _, deviations, directions = np.linalg.svd(inputs - self._mean, full_matrices=False)
        self._directions = directions[:_DIRECTIONS] / np.maximum(deviations[:_DIRECTIONS, None] / np.sqrt(len(inputs)), 1e-6)
        self.design = self.design_of(inputs)

    def design_of(self, inputs: np.ndarray) -> np.ndarray:
        """(N, D) to (N, 17): a one, and places and their squares along the directions, as logistic regression gets them."""
        places = np.clip((inputs - self._mean) @ self._directions.T, -5, 5)
        return np.concatenate([np.ones((len(inputs), 1)), places, places**2 - 1], axis=1)


def likelihood_ratios(known: Known, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N,) and (T,) densities of the new inputs (T, D) over the calibration's, at those of either, up to a factor.

    A ridge-regularised logistic regression on the calibration's principal directions, both sets counting as much: p / (1 - p).
    """
    calibration = known.design
    x = np.concatenate([calibration, known.design_of(new)])
    y = np.concatenate([np.zeros(len(calibration)), np.ones(len(new))])
    counts = np.concatenate([np.full(len(calibration), 0.5 / len(calibration)), np.full(len(new), 0.5 / len(new))])
    counts *= min(len(calibration), len(new))  # frames of a clip are alike: no more evidence than the smaller set has
    penalty = np.diag([0.0] + [_RIDGE] * (x.shape[1] - 1))
    weights = np.zeros(x.shape[1])
    for _ in range(_STEPS):  # Newton's method
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (counts * (p - y)) + penalty @ weights
        hessian = (x * (counts * p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(x.shape[1])
        step = np.linalg.solve(hessian, gradient)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    ratios = np.exp(np.clip(x @ weights, -30, 30))
    return ratios[: len(calibration)], ratios[len(calibration) :]


class Rising:
    """Scores (N, J), sorted once."""

    def __init__(self, scores: np.ndarray) -> None:
        self._joints = scores.shape[1]
        self._order = np.argsort(scores, axis=None, kind="stable")
        self._sorted = scores.ravel()[self._order]

    def quantiles(self, of_scores: np.ndarray, of_new: np.ndarray, level: float) -> np.ndarray:
        """(T,) quantiles of the scores, which weigh (N,), for new poses that weigh (T,); of weights that are all equal, the plain
        split-conformal quantile."""
        below = np.cumsum(np.repeat(of_scores, self._joints)[self._order])  # of a score and all that are smaller
        wanted = level * (below[-1] + of_new)
        places = np.searchsorted(below, wanted * (1 - 1e-12))
        return self._sorted[np.minimum(places, len(self._sorted) - 1)]
