"""How large people were in the pictures that a network learnt from, where they stood and how long the lenses were; and what lies outside.

Everything is in screen coordinates (`common.geometry.camera.normalize_screen_coordinates`): a picture is 2 wide. Ranges reach from
the 0.5th to the 99.5th percentile. A network is as good outside as it happens to be: on true 2D of the data set's own people, a crop
round the person cost 132 mm more, an upright phone at 2.5 m 257 mm, and twice the image's size 309 mm.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from torch import Tensor

from common.datasets.poses import Sequence
from common.datasets.views import screen_intrinsics
from common.errors import DuaError, short_reason
from common.geometry.skeleton import NUM_JOINTS, ROOT

if TYPE_CHECKING:
    from common.training.loop import Batches

_SAMPLE = 8192
"""Poses that are looked at; batches are shuffled, so that the first ones are of all the data."""
_QUANTILES = (0.005, 0.995)

# So much beyond the range is still inside: people of the next data set are not quite those of the last.
_LARGER = 1.1
_ASIDE = 0.05
_MOST = 0.5
"""More than this share of a clip's frames lies outside, or nothing is said."""

Span = tuple[float, float]


@dataclass(frozen=True)
class TrainedRange:
    """What a network has seen.

    Attributes:
        size: longer side of the box round a person's joints.
        root_x, root_y: where the hip is, from the middle of the picture to the right and down.
        focal_length: of the cameras.
    """

    size: Span
    root_x: Span
    root_y: Span
    focal_length: Span

    @classmethod
    def of(cls, batches: "Batches", focal_length: Span, *later: Tensor) -> Self:
        """What the first batches of a training hold: views that are made anew as they are seen, and the target's 2D as well.

        Nothing random is drawn but from the batches' own generators, which give the same batches when they are asked again.

        Args:
            focal_length: of the cameras that the views are of; `focal_span` has it of those that filmed something.
            later: (N, 16, 2) like which batches of later epochs are.
        """
        seen: list[tuple[Span, ...]] = []
        first = list(islice(batches.epoch(0), math.ceil(_SAMPLE / batches.batch_size)))
        for parts in (*zip(*first, strict=True), *((tensor,) for tensor in later)):
            if parts[0].shape[1:] == (NUM_JOINTS, 2):  # of the source and, where there are any, of the target
                values = _measured(np.concatenate([part.cpu().numpy() for part in parts]))
                seen.append(tuple(_span(*np.quantile(value[np.isfinite(value)], _QUANTILES)) for value in values))
        size, root_x, root_y = (_span(min(low for low, _ in of), max(high for _, high in of)) for of in zip(*seen, strict=True))
        return cls(size, root_x, root_y, _span(*focal_length))

    def to_dict(self) -> dict[str, list[float]]:
        """As checkpoints keep it."""
        return {name: list(span) for name, span in asdict(self).items()}

    def outside(self, inputs_2d: np.ndarray, focal_length: float | None = None) -> list[str]:
        """What of a clip (T, 16, 2) lies outside, by how much and what helps; a few words each.

        Args:
            focal_length: of the camera, in screen coordinates, if it is known.
        """
        size, root_x, root_y = _measured(inputs_2d)
        found = [self._of_size(size), self._of_root(root_x, root_y)]
        if focal_length is not None:
            found.append(self._of_lens(focal_length))
        return [words for words in found if words]

    def _of_size(self, size: np.ndarray) -> str | None:
        low, high = self.size
        if np.mean(size > high * _LARGER) > _MOST:
            how = f"{np.median(size) / high:.2g} times the largest"
            helps = "give the whole frame's pixels and size, not a crop's, or film from farther away"
        elif np.mean(size < low / _LARGER) > _MOST:
            how = f"{np.median(size) / low:.2g} times the smallest"
            helps = "give the size of the frames that the joints were found in"
        else:
            return None
        return f"people are {_percent(np.median(size))} of the picture's width long, in training {_percents(self.size)}: {how} ({helps})"

    def _of_root(self, root_x: np.ndarray, root_y: np.ndarray) -> str | None:
        found = []
        for values, span, before, after in ((root_x, self.root_x, "left", "right"), (root_y, self.root_y, "above", "below")):
            low, high = span
            if np.mean((values < low - _ASIDE) | (values > high + _ASIDE)) > _MOST:
                where = [f"{_percent(abs(value))} {before if value < 0 else after}" for value in (np.median(values), low, high)]
                found.append(f"{where[0]}, in training {where[1]} to {where[2]}")
        if not found:
            return None
        said = " and ".join(found)
        return f"hips are off the picture's middle, in shares of its width, {said} (give the size of the whole frame, as it was filmed)"

    def _of_lens(self, focal_length: float) -> str | None:
        low, high = self.focal_length
        if low / _LARGER <= focal_length <= high * _LARGER:
            return None
        times = focal_length / (high if focal_length > high else low)
        lengths = f"{low / 2:.2f}" if high - low < 0.01 else f"{low / 2:.2f} to {high / 2:.2f}"
        return (
            f"the focal length is {focal_length / 2:.2f} times the picture's width, in training {lengths}: {times:.2g} times that "
            "(film from farther away or nearer, with a lens like those)"
        )


def focal_span(sequences: Iterable[Sequence]) -> Span:
    """Least and largest focal length of the cameras that filmed these."""
    cameras = {(sequence.subject, sequence.camera, sequence.view): sequence for sequence in sequences}
    focal = [float(screen_intrinsics([_one_pose(sequence)])[0, 0]) for sequence in cameras.values()]
    return min(focal), max(focal)


def stored_range(checkpoint: Mapping[str, Any], path: str | Path) -> TrainedRange | None:
    """What a checkpoint says of it; older ones, and those of other projects, say nothing.

    Raises:
        DuaError: it is damaged.
    """
    kept = checkpoint.get("trained_range")
    if kept is None:
        return None
    try:
        return TrainedRange(**{name: _span(*span) for name, span in kept.items()})
    except (AttributeError, TypeError, ValueError) as error:
        raise DuaError(
            f"{path}: its trained_range is damaged ({short_reason(error)}); give another checkpoint of the run"
        ) from error


def _measured(inputs_2d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) sizes, and places of the root, of (N, 16, 2)."""
    return np.ptp(inputs_2d, axis=1).max(axis=1), inputs_2d[:, ROOT, 0], inputs_2d[:, ROOT, 1]


def _span(low: Any, high: Any) -> Span:
    low, high = float(low), float(high)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"{low} to {high} is no range")
    return low, high


def _one_pose(sequence: Sequence) -> Sequence:
    return replace(sequence, start=0, stop=1)


def _percent(length: Any) -> str:
    return f"{float(length) / 2:.0%}".replace("%", " %")


def _percents(span: Span) -> str:
    return f"{span[0] / 2 * 100:.0f} to {span[1] / 2 * 100:.0f} %"
