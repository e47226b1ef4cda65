"""Errors of a 2D detector, put on the true places of COCO's seventeen keypoints.

What is published of them: how far annotators disagree by joint, as a share of the body's size (COCO's OKS constants); that tails are
heavier than a Gaussian's; that errors last for several frames; that far limbs are worse than near ones, as they are covered; that
joints are lost for a while, with little confidence; and that left and right are exchanged for runs of frames, with much of it.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.compute.device import generator_of
from common.datasets.gaps import Gaps
from common.geometry.camera import project_to_2d, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.joint_orders import ORDERS
from common.preparation.h36m_writer import Positions2D, Positions3D, write_positions_2d

OKS = (0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089)
"""COCO's constants by keypoint (cocodataset.org, keypoint evaluation): standard deviations of annotators over the body's scale, the
root of its area. The evaluation takes twice as much."""

NOISE = 0.3
"""Of those deviations. A body 500 pixels tall then has errors of 6 pixels in the median; 5 to 10 were measured."""
_AREA = 0.53
"""Of a person in the box of its joints; COCO's pose evaluation takes it where there is no outline."""
_FREEDOM = 4
"""Degrees of Student's t: one error in a hundred is more than 3.7 deviations long."""
_LASTS = 0.9
"""Correlation of an error with that of the next frame, at 50 frames a second."""
_RUN = 10
"""Frames for which a joint is lost, two are exchanged, or errors are large."""
_FAR, _DEPTH = 1.0, 0.35
"""A joint as far (metres) behind the body's middle as this, or farther, has errors so much larger."""
_LOST, _LOST_ERROR = 0.02, 4.0
"""Share of runs in which a joint is lost, twice that for the farthest; its error is then so much larger."""
_EXCHANGED = (((11, 13, 15), (12, 14, 16), 0.02), ((5, 7, 9), (6, 8, 10), 0.01))
"""(left, right, share of runs) of legs and arms."""


def detected(points_2d: Tensor, depths: Tensor, generator: torch.Generator, noise: float = NOISE) -> tuple[Tensor, Tensor]:
    """What a detector finds of clips, and how sure it is; with `noise` 0 the true places, and 1.

    Shape:
        points_2d (S, T, 17, 2) of S clips, in any unit of the picture; depths (S, T, 17) metres -> (S, T, 17, 2), (S, T, 17).
        Everything random comes from `generator`, on the CPU.
    """
    if not noise:
        return points_2d, torch.ones_like(depths)
    clips, frames, joints = depths.shape
    device = points_2d.device

    def by_run(values: Tensor) -> Tensor:
        """(S, runs, J) to (S, T, J)."""
        return values.repeat_interleave(_RUN, dim=1)[:, :frames]

    runs = -(-frames // _RUN)
    chances = torch.rand(clips, runs, joints + len(_EXCHANGED), generator=generator)
    heavy = torch.rsqrt(_chi2(clips, runs, joints, generator) / _FREEDOM)
    error = _lasting(torch.randn(clips, frames, joints, 2, generator=generator))
    behind = ((depths - depths.mean(-1, keepdim=True)) / _DEPTH).clamp(0, 1)  # (S, T, 17)
    lost = by_run(chances[..., :joints]).to(device) < _LOST * (1 + behind)
    size = torch.sqrt(_AREA * torch.prod(points_2d.amax(-2) - points_2d.amin(-2), dim=-1))  # (S, T)
    deviation = noise * torch.tensor(OKS, device=device) * size[..., None] * by_run(heavy).to(device) * (1 + _FAR * behind)
    deviation = torch.where(lost, _LOST_ERROR * deviation, deviation)
    places = points_2d + error.to(device) * deviation[..., None]
    sure = torch.rand(clips, frames, joints, generator=generator).to(device)
    confidences = torch.where(lost, 0.25 * sure, 0.6 + 0.4 * sure)
    order = torch.arange(joints).repeat(clips, frames, 1)
    for place, (left, right, share) in enumerate(_EXCHANGED, joints):
        exchanged = by_run(chances[..., place : place + 1]) < share  # (S, T, 1)
        order[..., left], order[..., right] = (
            torch.where(exchanged, order[..., right], order[..., left]),
            torch.where(exchanged, order[..., left], order[..., right]),
        )
    order = order.to(device)
    return places.gather(2, order[..., None].expand_as(places)), confidences.gather(2, order)


def _chi2(clips: int, runs: int, joints: int, generator: torch.Generator) -> Tensor:
    """Sums of `_FREEDOM` squared Gaussians."""
    return torch.randn(clips, runs, joints, _FREEDOM, generator=generator).square().sum(-1)


def _lasting(noise: Tensor) -> Tensor:
    """(S, T, ...) independent Gaussians to a stationary autoregression along T, of variance 1 as well."""
    if noise.shape[1] == 1:
        return noise
    frames = (1 - _LASTS**2) ** 0.5 * noise.transpose(0, 1).contiguous()  # (T, S, ...)
    frames[0] = noise[:, 0]
    for last, row in pairwise(frames.numpy() if frames[0].numel() < _FEW else frames):
        row += _LASTS * last
    return frames.transpose(0, 1).contiguous()


_FEW = 4096
"""Numbers with which numpy is quicker than torch, as it takes a tenth of the time to start."""


_UNSURE = 0.3
"""Joints of less confidence count as not found, as in `predict.py`."""
# As VideoPose3D's metadata describe COCO's order: (left, right) places that mirror each other.
_METADATA = {
    "layout_name": "coco",
    "num_joints": 17,
    "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
}


def _found(in_camera: np.ndarray, pixels: np.ndarray, generator: torch.Generator, noise: float) -> np.ndarray:
    """(T, 17, 3) pixels and confidence of a clip's keypoints (T, 17, 3) metres in camera axes; 0 where one is not found.

    One that would not be found in any frame is found in all: of such a clip nobody could use the rest.
    """
    places, sure = detected(torch.from_numpy(pixels)[None], torch.from_numpy(in_camera[None, ..., 2]), generator, noise)
    lost = (sure[0] < _UNSURE) & (sure[0] >= _UNSURE).any(dim=0)
    return np.concatenate([places[0].numpy(), torch.where(lost, 0.0, sure[0])[..., None].numpy()], axis=-1)


def found_joints(in_camera: np.ndarray, pixels: np.ndarray, generator: torch.Generator, noise: float) -> np.ndarray:
    """(T, 16, 2) pixels of our joints, as loaders and `predict.py` make them of what is found. Arguments as `_found`."""
    joints = Gaps().fill(_found(in_camera, pixels, generator, noise), ORDERS["coco"], "")
    assert joints is not None, "every joint is found in some frame"
    return joints


def write_detections(data_dir: str | Path, positions_3d: Positions3D, seed: int, noise: float) -> Path:
    """Write `data_2d_h36m_detector.npz`: {subject: {action: [per camera (T, 17, 3) pixels and confidence]}}, with metadata.

    Args:
        positions_3d: COCO's keypoints in Human3.6M's world, metres.
        seed: of the errors.
    """
    generator = generator_of(seed)
    positions_2d: Positions2D = {}
    for subject, actions in positions_3d.items():
        positions_2d[subject] = {}
        for action, world in actions.items():
            views = [(camera, world_to_camera(world, camera)) for camera in h36m_cameras(subject)]
            positions_2d[subject][action] = [
                _found(seen, project_to_2d(seen, camera), generator, noise).astype(np.float32) for camera, seen in views
            ]
    return write_positions_2d(data_dir, "detector", positions_2d, _METADATA)
