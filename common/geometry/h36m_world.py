"""Do joints stand in Human3.6M's world: z up, the floor at 0, in the middle of its four cameras? A body alone cannot tell.

Human3.6M also publishes the joints in the axes of each camera (`D3_Positions_mono`): the same bodies and the same shapes of
arrays, upright along -y and metres away along z. A network would be trained on pictures that nobody has taken.
"""

from collections.abc import Sequence

import numpy as np

from common.errors import DuaError
from common.geometry.camera import Camera, project_to_2d, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import H36M_32_TO_16

_HEAD, _ANKLES, _FEET = 15, (3, 8), (3, 4, 5, 8, 9, 10)  # among the 32 recorded joints
_FRAMES = 50  # of a sequence that are looked at
_UPRIGHT = 0.2
"""Cosine, mean of a sequence: people who sit on the floor and lean have 0.5; in a camera's axes it is about -0.1."""
_FLOOR = (-0.5, 1.2)
"""Metres, of the lower foot: whoever jumps or stands on a chair is within; a camera's z is the distance from it, 2 to 7."""
_IN_PICTURE = 0.5
"""Of all joints, in each of the four cameras: nearly all of Human3.6M's are in all of their pictures."""


def check_world(world: np.ndarray, subject: str, where: str, remedy: str, signs_needed: int = 1) -> None:
    """Raise a `DuaError` that says what gives it away if joints are not in Human3.6M's world.

    Args:
        world: (T, 32, 3) metres, of one sequence or several.
        subject: whose cameras they were.
        signs_needed: how many of the three signs have to agree: whoever climbs or does cartwheels shows one.
    """
    sample = world[:: 1 + len(world) // _FRAMES].astype(np.float64)
    signs = _signs(sample, h36m_cameras(subject), signs_needed)
    if len(signs) >= signs_needed:
        kind = "camera coordinates, as in D3_Positions_mono" if _up(sample)[1] < -0.5 else "not in Human3.6M's world"
        raise DuaError(f"{where}: the joints are {kind}: {', '.join(signs)}; {remedy}")


def _signs(sample: np.ndarray, cameras: Sequence[Camera], needed: int) -> list[str]:
    """What speaks against joints (T, 32, 3) being in the world of the cameras: in z, on the floor, in the pictures."""
    signs = []
    if (rise := _up(sample)[2]) < _UPRIGHT:
        signs.append(f"their z does not run from the feet up to the head (cosine {rise:.2f})")
    height = float(np.median(sample[:, _FEET, 2].min(axis=1)))
    if not _FLOOR[0] < height < _FLOOR[1]:
        signs.append(f"the feet are at {height:.2f} m and not on the floor")
    if len(signs) + 1 < needed:  # whatever the pictures say, which take the longest to ask
        return signs
    inside = [_in_picture(sample[:, H36M_32_TO_16], camera) for camera in cameras]
    if min(inside) < _IN_PICTURE:
        name = cameras[int(np.argmin(inside))].name
        signs.append(f"{1 - min(inside):.0%} lie behind Human3.6M's cameras or out of the picture, in {name}")
    return signs


def _up(sample: np.ndarray) -> np.ndarray:
    """(3,) mean direction from the ankles to the head; shorter than 1 where it varies."""
    rise = sample[:, _HEAD] - sample[:, _ANKLES].mean(axis=1)
    return np.mean(rise / np.maximum(np.linalg.norm(rise, axis=-1, keepdims=True), 1e-9), axis=0)


def _in_picture(joints: np.ndarray, camera: Camera) -> float:
    """Of joints (T, J, 3) in the world, the part that the camera has in its picture."""
    in_camera = world_to_camera(joints, camera)
    before = in_camera[..., 2] > 0
    pixels = project_to_2d(np.where(before[..., None], in_camera, 1.0), camera)
    return float(np.mean(before & np.all((pixels >= 0) & (pixels < camera.resolution), axis=-1)))
