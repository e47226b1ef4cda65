"""A prediction as `common.rendering.scene` shows it: the 2D joints, and beside them the poses, which no label is held against."""

from collections.abc import Mapping

import numpy as np
import torch

from common.prediction.outputs import Clip
from common.prediction.predictor import Predictor
from common.rendering.panels import short_names
from common.rendering.scene import Images, Panel, Scene

_APART = 1.4
"""Metres between people who stand side by side, since it is not known where they stand."""


def prediction_scene(clips: Mapping[int, Clip], predictor: Predictor, source: str, images: Images | None = None) -> Scene:
    """One panel, tinted by the uncertainty: in millimetres if the checkpoint is calibrated, else as the estimator gives it.

    People whose clips have roots stand where they are, about the middle; others side by side, in the order of the picture.

    Args:
        clips: {number of a person: what was predicted}, of one video.
        source: where the 2D joints come from.
        images: what they were found in, a picture a pose.
    """
    frames = np.unique(np.concatenate([clip.frames for clip in clips.values()]))
    step = int(np.gcd.reduce(np.diff(frames))) or 1
    rows = [(clip.frames - frames[0]) // step for clip in clips.values()]
    count = int(frames[-1] - frames[0]) // step + 1

    def together(parts: list[np.ndarray]) -> np.ndarray:
        """(T, P, ...) of everybody, NaN where somebody is not there."""
        everybody = np.full((count, len(parts), *parts[0].shape[1:]), np.nan)
        for person, (part, at) in enumerate(zip(parts, rows, strict=True)):
            everybody[at, person] = part
        return everybody

    uncertainties = [_uncertainty(clip, predictor) for clip in clips.values()]
    unit = next((unit for _, unit in uncertainties), "mm")
    shown = [values for values, _ in uncertainties if values is not None]
    filled = float(np.concatenate([clip.prediction.missing for clip in clips.values()]).mean())
    places = [poses + way[:, None] for poses, way in zip(map(_scene_axes, (c.upright for c in clips.values())), _ways(clips))]
    first = next(iter(clips.values()))
    return Scene(
        title="2D input",
        subtitle=source,
        joints_2d=together([clip.prediction.keypoints_2d for clip in clips.values()]),
        resolution=first.prediction.image_size,
        panels=(
            Panel(
                short_names([predictor.lifter])[0],
                together(places),
                f"{filled:.0%} of the joints filled" if filled else "",
                together(shown) if shown else None,
            ),
        ),
        fps=first.fps / step,
        unit=unit,
        step=step,
        first=int(frames[0]),
        images=images,
        people=tuple(str(person) for person in clips),
    )


def _uncertainty(clip: Clip, predictor: Predictor) -> tuple[np.ndarray | None, str]:
    prediction = clip.prediction
    if prediction.uncertainty is None:
        return None, "mm"
    if prediction.uncertainty_mm is not None:
        return prediction.uncertainty_mm, "mm"
    return predictor.lifter.shown_uncertainty(torch.from_numpy(prediction.uncertainty), torch.from_numpy(prediction.poses_3d))


def _scene_axes(y_up: np.ndarray) -> np.ndarray:
    """From y up and z towards the camera to the scene's axes: z up, y away from the camera."""
    return y_up[..., [0, 2, 1]] * np.array([1.0, -1.0, 1.0])


def _ways(clips: Mapping[int, Clip]) -> list[np.ndarray]:
    """(T, 3) of each person: where on the floor the hip is, about the middle of all of them."""
    roots = [clip.upright_roots for clip in clips.values()]
    if all(path is not None for path in roots):
        ways = [_scene_axes(path) * np.array([1.0, 1.0, 0.0]) for path in roots if path is not None]
    else:
        order = np.argsort(np.argsort([np.median(clip.prediction.keypoints_2d[..., 0]) for clip in clips.values()]))
        ways = [np.tile([_APART * place, 0.0, 0.0], (len(clip.frames), 1)) for place, clip in zip(order, clips.values())]
    everything = np.concatenate(ways)
    middle = (everything.min(axis=0) + everything.max(axis=0)) / 2
    return [way - middle for way in ways]
