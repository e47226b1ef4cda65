"""A trained network on anybody's 2D joints: what notebooks import.

    from common.predictor import Predictor

    predictor = Predictor.load()  # the open weights; or load("checkpoint/prob"): a folder of runs, a run, a checkpoint
    poses = predictor(keypoints_2d, image_size=(1000, 1002))  # (T, J, 2) pixels, or (T, J, 3) with confidence last
    poses.poses_3d, poses.uncertainty, poses.uncertainty_mm, poses.missing

A notebook in a folder of its own begins with `import sys; sys.path[:0] = ["..", "."]`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from common.compute.device import choose_device
from common.datasets.anomalies import warn
from common.datasets.views import turn_to_root
from common.detections.keypoints import DEFAULT_THRESHOLD, choose_order, in_pixels, split_confidences, to_our_joints
from common.detections.swaps import describe_swaps, exchange_sides, find_swaps
from common.errors import DuaError
from common.evaluation.evaluate import predict
from common.geometry.camera import normalize_screen_coordinates
from common.geometry.skeleton import JOINT_NAMES
from common.prediction.lens import ASSUMED_FOV, focal_length_of, given_lens, warn_of_assumed_lens
from common.prediction.lifter import Lifter, load_lifter
from common.prediction.picture import check_length, check_sides, warn_if_outside
from common.training.open_weights import NAME as OPEN
from models.domain_norm import select_domain
from models.pose_converter import PoseConverter

_LARGEST = 1_000_000
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Prediction:
    """Poses of one person, frame by frame.

    Attributes:
        poses_3d: (T, 16, 3) metres, camera axes (x right, y down, z forward), hip at the origin.
        uncertainty: (T, 16) what the estimator expects, in its unit (`Predictor.uncertainty_unit`), or None if the checkpoint has
            no estimator.
        uncertainty_mm: (T, 16) the error it expects in millimetres, or None if the checkpoint has no calibration.
        radii_mm: (T, 16) distances that hold the true joint in nine cases of ten, as far as the clip is like what they were calibrated
            on; larger where it is not (`common.evaluation.weighted`). Calibrated on single passes: the means of `--tta` err a little less.
            None if the checkpoint has no calibration.
        missing: (T, 16) True where a joint was not seen in 2D and its place was filled (`common.detections.keypoints`).
        keypoints_2d: (T, 16, 2) the pixels that were lifted.
        exchanged: (T, 2) whether left and right of legs and arms seem to have been exchanged in 2D (`common.detections.swaps`); they
            are exchanged back here if that was asked for.
        image_size: (width, height) of the frames in pixels.
        focal_length: of the camera in pixels: given, or else assumed (`common.prediction.lens.ASSUMED_FOV`).
    """

    poses_3d: np.ndarray
    uncertainty: np.ndarray | None
    uncertainty_mm: np.ndarray | None
    radii_mm: np.ndarray | None
    missing: np.ndarray
    keypoints_2d: np.ndarray
    exchanged: np.ndarray
    image_size: tuple[int, int]
    focal_length: float

    def __len__(self) -> int:
        return len(self.poses_3d)


class Predictor:
    """The networks of a checkpoint, ready to lift.

    Attributes:
        lifter: the checkpoint and its networks, in evaluation mode.
        joint_names: the sixteen joints of a pose, in their order.
        definition: whose skeleton the poses have, 'h36m' or 'smpl'.
        uncertainty_unit: 'relative' (error, in [0, 1]), 'metres' (standard deviation of a Gaussian), or None.
        calibration: what makes millimetres of its uncertainty, or None (`common.evaluation.calibration`).
        test_time: what the run's options do when it is tested; `--test_bn` is not done here, where frames may be few.
    """

    def __init__(self, lifter: Lifter) -> None:
        self.lifter = lifter
        self.joint_names = JOINT_NAMES
        self.definition = lifter.skeleton
        self.uncertainty_unit = lifter.unit
        self.calibration = lifter.calibration
        self.test_time = lifter.test_time
        self._lens_was_said = False

    @classmethod
    def load(cls, path: str | Path = OPEN, device: str = "auto", domain: str = "source") -> Self:
        """The best epoch of a run folder, or of the newest in a folder of runs, or the checkpoint of a file. A relative path may also
        start at the repository. 'open' and 'open/semgcn' are the weights that come with the project (docs/model_zoo.md).

        Args:
            device: 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.
            domain: whose BatchNorm statistics are used, 'source' or 'target', of a network that has both (`--domain_bn`).

        Raises:
            DuaError: there is no such file, it is no checkpoint, or it holds no lifting network or one of other joints.
        """
        path = Path(path)
        if not path.exists() and (_ROOT / path).exists():
            path = _ROOT / path
        lifter = load_lifter(path, choose_device(device))
        select_domain(lifter.networks["lifter"], domain)
        return cls(lifter)

    def __call__(
        self,
        keypoints_2d: np.ndarray,
        image_size: tuple[int, int],
        skeleton: str | None = None,
        confidences: np.ndarray | None = None,
        threshold: float = DEFAULT_THRESHOLD,
        focal_length: float | None = None,
        fix_swaps: bool = False,
        frames: np.ndarray | None = None,
        fps: float | None = None,
        fov: float | None = None,
    ) -> Prediction:
        """Lift the 2D joints of one person. A clip unlike those that the network was trained on draws a warning (`warn_if_outside`);
        where left and right seem exchanged in time, it is said in a line on stderr.

        Args:
            keypoints_2d: (T, J, 2) pixels, frame by frame, or (J, 2) of a single frame; NaN, (0, 0) or (-1, -1) where a joint is not
                seen. A third column is the confidence. Shares of the image, from 0 to 1, become pixels, with a line on stderr.
            image_size: (width, height) of the frames in pixels.
            skeleton: the order of the joints, a name of `common.detections.keypoints.ORDERS` ('coco', 'body25', 'mpii', ...); None if
                their number says it. J = 16 without a name is our own order (`joint_names`), J = 17 is COCO's if eyes and ears lie
                where COCO has them, with a line on stderr.
            confidences: (T, J), in place of a third column; joints with less than `threshold` count as not seen.
            focal_length: of the camera, in pixels. Networks trained with `--align canonical` turn the camera by it; where neither it
                nor `fov` is given they assume `ASSUMED_FOV`, and say so in a line on stderr. Others do without.
            fix_swaps: exchange them back.
            frames: (T,) numbers of the frames, as that line tells them; from 0 on if None.
            fps: how many of the frames are a second, if known: of less than `SLOWEST`, left and right are not looked at.
            fov: degrees that the camera sees along the picture's longer side, in place of `focal_length`.

        Raises:
            DuaError: keypoints that do not fit the order, no frames, a joint that is never seen (`to_our_joints`), 3D poses, pixels
                that do not fit the image, or an image or a lens that no camera has.
        """
        size = _checked_size(image_size)
        lens = given_lens(focal_length, fov, size)
        keypoints_2d, third = split_confidences(keypoints_2d)
        confidences = third if confidences is None else np.atleast_2d(np.asarray(confidences, dtype=np.float64))
        if skeleton is None:
            skeleton = choose_order(keypoints_2d.shape[1], None, keypoints_2d)
            if skeleton == "coco":
                warn(
                    "17 joints without a name are taken for COCO's, where eyes and ears lie as here; skeleton names another order"
                )
        pixels, missing, exchanged = _our_pixels(
            keypoints_2d, size, skeleton, confidences, threshold, fix_swaps, frames=frames, fps=fps
        )
        poses_3d, uncertainty, inputs_2d = self._lift(pixels, size, lens)
        millimetres = radii = None
        if self.calibration is not None and uncertainty is not None:
            millimetres = self.calibration.millimetres(uncertainty, poses_3d).numpy()
            radii = self.calibration.radii(uncertainty, poses_3d, inputs_2d).numpy()
        return Prediction(
            poses_3d.numpy(),
            None if uncertainty is None else uncertainty.numpy(),
            millimetres,
            radii,
            missing,
            pixels.astype(np.float32),
            exchanged,
            size,
            lens or focal_length_of(ASSUMED_FOV, size),
        )

    @torch.no_grad()
    def to_detector(self, poses_3d: np.ndarray) -> np.ndarray | None:
        """Poses (T, 16, 3), as they are predicted, in a detector's definition of the joints; None if the checkpoint has no converter."""
        converter = self.lifter.networks.get("to_detector")
        if not isinstance(converter, PoseConverter):
            return None
        poses = torch.from_numpy(np.ascontiguousarray(poses_3d, dtype=np.float32)).to(self.lifter.device)
        return converter.convert(poses, predicted=True).cpu().numpy()

    def _lift(self, pixels: np.ndarray, size: tuple[int, int], lens: float | None) -> tuple[Tensor, Tensor | None, Tensor]:
        """(T, 16, 3) poses in metres, (T, 16) what the estimator expects, and (T, 16, 2) what the network got, of our joints in pixels
        (T, 16, 2).

        Args:
            lens: focal length in pixels, if it is known.
        """
        screen = normalize_screen_coordinates(pixels, *size).astype(np.float32)  # as the loaders of the data sets
        inputs_2d, rotations = torch.from_numpy(screen), None
        if self.test_time.canonical:
            if lens is None and not self._lens_was_said:
                warn_of_assumed_lens(
                    f"{self.lifter.file} was trained with --align canonical, which turns the camera to the person"
                )
                self._lens_was_said = True
            # A pinhole with the principal point in the middle of the picture.
            focal = torch.full((1, 2), 2 * (lens or focal_length_of(ASSUMED_FOV, size)) / size[0])  # in screen units
            inputs_2d, rotations = turn_to_root(inputs_2d / focal, focal)
        inputs_2d = self.test_time.scale(inputs_2d)
        warn_if_outside(self.lifter, inputs_2d, None if lens is None else 2 * lens / size[0], "the clip")
        poses_3d, uncertainty = predict(self.lifter.networks, inputs_2d, self.lifter.device, self.test_time.flip)
        if rotations is not None:
            poses_3d = torch.einsum("nji,nkj->nki", rotations, poses_3d)
        return poses_3d, uncertainty, inputs_2d


def _our_pixels(
    keypoints_2d: np.ndarray,
    size: tuple[int, int],
    skeleton: str,
    confidences: np.ndarray | None,
    threshold: float,
    fix_swaps: bool,
    *,
    frames: np.ndarray | None,
    fps: float | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is lifted of a detector's joints (T, J, 2): (T, 16, 2) pixels, (T, 16) which were not seen, (T, 2) which sides seem
    exchanged. Arguments and errors as `Predictor.__call__`."""
    counted = True if confidences is None else confidences >= threshold
    keypoints_2d, multiplied = in_pixels(keypoints_2d, size, counted)
    if multiplied:
        warn(f"keypoints from 0 to 1 are taken for shares of the image, and multiplied by its {size[0]} x {size[1]} pixels")
    pixels, missing = to_our_joints(keypoints_2d, skeleton, confidences, threshold)
    check_sides(pixels[~missing], *size)
    exchanged = find_swaps(pixels, ~missing, fps)
    if exchanged.any():
        warn(describe_swaps(exchanged, np.arange(len(pixels)) if frames is None else frames, fix_swaps))
    if exchanged.any() and fix_swaps:
        order = choose_order(keypoints_2d.shape[1], skeleton)
        sure = None if confidences is None else exchange_sides(confidences, exchanged, order)
        pixels, missing = to_our_joints(exchange_sides(keypoints_2d, exchanged, order), order, sure, threshold)
    _check_pixels(pixels[~missing], *size)
    check_length(pixels, *size)
    return pixels, missing, exchanged


def _checked_size(image_size: tuple[int, int]) -> tuple[int, int]:
    try:
        width, height = (int(length) for length in image_size)
    except (TypeError, ValueError, OverflowError) as error:
        raise DuaError(f"image_size {str(image_size)[:60]}: (width, height) in pixels was expected") from error
    if min(width, height) < 1 or max(width, height) > _LARGEST:
        raise DuaError(f"image_size {width:.6g} x {height:.6g}: sides of 1 to {_LARGEST:,d} pixels are possible")
    return width, height


def _check_pixels(seen: np.ndarray, width: int, height: int) -> None:
    """Refuse places (N, 2) most of which cannot be pixels of such an image."""
    outside = ((seen < 0) | (seen > (width, height))).any(axis=1)
    if outside.mean() > 0.5:
        reach = f"x to {seen[:, 0].max():.0f}, y to {seen[:, 1].max():.0f}"
        raise DuaError(
            f"{outside.mean():.0%} of the joints lie outside the image of {width} x {height} pixels ({reach}); "
            "give the size of the frames that they were detected in (image_size, --image_size WIDTH HEIGHT)"
        )
