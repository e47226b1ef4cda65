"""A prediction as `common.rendering.scene` shows it: the 2D joints, and beside them the poses, which no label is held against."""

import numpy as np
import torch

from common.prediction.bvh_writer import camera_to_y_up
from common.prediction.outputs import Clip
from common.prediction.predictor import Predictor
from common.rendering.panels import short_names
from common.rendering.scene import Images, Panel, Scene


def prediction_scene(clip: Clip, predictor: Predictor, source: str, images: Images | None = None) -> Scene:
    """One panel, tinted by the uncertainty: in millimetres if the checkpoint is calibrated, else as the estimator gives it.

    Args:
        source: where the 2D joints come from.
        images: what they were found in, a picture a pose.
    """
    prediction = clip.prediction
    uncertainty, unit = None, "mm"
    if prediction.uncertainty is not None:
        estimated, poses_3d = torch.from_numpy(prediction.uncertainty), torch.from_numpy(prediction.poses_3d)
        uncertainty, unit = predictor.lifter.shown_uncertainty(estimated, poses_3d)
    # From y up and z towards the camera to the scene's axes: z up, y away from the camera.
    places = camera_to_y_up(prediction.poses_3d.astype(np.float64), clip.camera_pitch)[..., [0, 2, 1]] * np.array(
        [1.0, -1.0, 1.0]
    )
    filled = float(prediction.missing.mean())
    return Scene(
        title="2D input",
        subtitle=source,
        joints_2d=prediction.keypoints_2d.astype(np.float64),
        resolution=clip.image_size,
        panels=(
            Panel(
                short_names([predictor.lifter])[0], places, f"{filled:.0%} of the joints filled" if filled else "", uncertainty
            ),
        ),
        fps=clip.poses_per_second,
        unit=unit,
        images=images,
    )
