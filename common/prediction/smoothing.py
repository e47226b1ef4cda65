"""Poses and paths smoothed in time, by the filter of Savitzky and Golay (1964): a polynomial is fitted to each frame's neighbours.

It looks ahead as far as back, so nothing lags, and keeps what a polynomial can follow, so quick movements are flattened less than by
an average. Windows were chosen by `benchmarks/trajectory.py` on the demo's training and validation clips with a detector's noise, 50
poses a second: of those whose poses are nearest to the true ones, the shortest.
"""

import numpy as np

POSES_WINDOW = 0.3
"""Seconds that a fit reaches over, of poses..."""
DIRECTION_WINDOW, DISTANCE_WINDOW = 0.3, 1.0
"""...and of roots: pixels say well in which direction somebody is, but the distance follows from how large the network makes them."""
_ORDER = 2


def smooth(poses_3d: np.ndarray, frames: np.ndarray, fps: float, window: float = POSES_WINDOW) -> np.ndarray:
    """Values (T, ...) smoothed over their first axis, of the same shape and type; frames need not be all that there are.

    Frames that follow at a larger distance than others (`frames` 3, 4, 5, 9, 10) begin a new piece, which nothing is carried into.
    Pieces shorter than the window have a shorter one, and those of three frames or fewer stay as they are; so does everything where
    so few poses a second leave fewer than five in the window.

    Args:
        frames: (T,) numbers of the video's frames, increasing.
        fps: frames of the video a second, whether or not each has a pose.
        window: seconds.
    """
    from scipy.signal import savgol_filter  # here, not above: scripts that do without it need not wait

    frames = np.asarray(frames)
    steps = np.diff(frames)
    if not len(steps):
        return poses_3d.copy()
    smoothed = poses_3d.astype(np.float64)
    width = window_frames(fps / int(steps.min()), window)
    for piece in np.split(np.arange(len(frames)), np.flatnonzero(steps > steps.min()) + 1):
        fitting = min(width, len(piece) - (len(piece) + 1) % 2)  # odd
        if fitting > _ORDER + 1:
            smoothed[piece] = savgol_filter(smoothed[piece], fitting, _ORDER, axis=0)
    return smoothed.astype(poses_3d.dtype)


def smooth_roots(
    roots_3d: np.ndarray,
    frames: np.ndarray,
    fps: float,
    direction: float = DIRECTION_WINDOW,
    distance: float = DISTANCE_WINDOW,
) -> np.ndarray:
    """A path (T, 3) from the camera, its direction smoothed apart from its distance; as `smooth`, windows in seconds."""
    distances = np.linalg.norm(roots_3d, axis=-1, keepdims=True)
    rays = smooth(roots_3d / distances, frames, fps, direction)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True) * smooth(distances, frames, fps, distance)


def window_frames(poses_per_second: float, window: float = POSES_WINDOW) -> int:
    """Poses that a window holds, an odd number; 1 if so few that nothing is smoothed."""
    width = 2 * round(window * poses_per_second / 2) + 1
    return width if width > _ORDER + 2 else 1
