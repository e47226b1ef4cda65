"""A prediction as `common.scene` shows it: the 2D joints, and beside them the poses, which no label is held against."""

import numpy as np

from common.bvh_writer import camera_to_y_up
from common.panels import Lifter, short_names
from common.prediction_files import Clip
from common.predictor import Predictor
from common.scene import Panel, Scene


def prediction_scene(clip: Clip, predictor: Predictor, source: str) -> Scene:
    """One panel, tinted by the uncertainty: in millimetres if the checkpoint is calibrated, else as the estimator gives it.

    Args:
        source: where the 2D joints come from.
    """
    prediction = clip.prediction
    uncertainty, unit = prediction.uncertainty_mm, "mm"
    if uncertainty is None and prediction.uncertainty is not None:
        relative = predictor.uncertainty_unit == "relative"
        uncertainty, unit = (prediction.uncertainty * 100, "%") if relative else (prediction.uncertainty * 1000, "mm")
    lifter = Lifter(predictor.file, predictor.checkpoint, predictor.networks, predictor.device)
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
        panels=(Panel(short_names([lifter])[0], places, f"{filled:.0%} of the joints filled" if filled else "", uncertainty),),
        fps=clip.fps,
        unit=unit,
    )
