"""From a camera's axes to a world with y up, for files that characters and models are moved by, and for what is rendered."""

import numpy as np


def camera_to_y_up(poses_3d: np.ndarray, camera_pitch: float = 0.0, camera_roll: float = 0.0) -> np.ndarray:
    """(..., 3) places in camera axes (y down, z forward) in a world with y up, in which somebody facing the camera faces z.

    Args:
        camera_pitch: degrees by which the camera looks down.
        camera_roll: degrees by which it is turned clockwise, as who holds it sees it: what stands upright leans to the left in its
            picture.
    """
    from scipy.spatial.transform import Rotation  # here, not above: scripts that do without it need not wait

    level = poses_3d @ Rotation.from_euler("z", camera_roll, degrees=True).as_matrix().T
    turned = level * np.array([1.0, -1.0, -1.0])  # half a turn about x
    return turned @ Rotation.from_euler("x", -camera_pitch, degrees=True).as_matrix().T
