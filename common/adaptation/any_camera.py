"""People before any camera, as a detector sees them: training batches whose bodies, cameras and errors are drawn anew each time."""

import argparse
from dataclasses import dataclass

import torch
from torch import Tensor

from common.adaptation.augment import limb_factors, mirror_some, stretched
from common.datasets.poses import Poses
from common.datasets.views import Scale, assumed_focal, turn_to_root
from common.errors import DuaError
from common.geometry.skeleton import JOINT_NAMES, ROOT
from common.mocap.detector_errors import NOISE
from common.mocap.filming import MOST_ROLL, SETUPS, draw_cameras, seen_joints
from common.mocap.people import People

_ANCHORS = tuple(
    JOINT_NAMES.index(name)
    for name in (
        "Head", "Head", "Head", "Head", "Head", "LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist",
        "LHip", "RHip", "LKnee", "RKnee", "LFoot", "RFoot",
    )
)  # fmt: skip
"""By COCO keypoint, which of our joints it goes with when limbs are stretched."""
COCO_MIRROR = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
_UNKNOWN_LENS = 0.5
"""Share of the views whose focal length is taken for the assumed one, as it is where nobody knows it."""


_VALIDATION = 4096
"""Poses of the held-out people that choose the epoch; neighbours are alike."""


def add_filming_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of how people are seen."""
    group = parser.add_argument_group("cameras")
    group.add_argument("--cameras", choices=SETUPS, default="any", help="any camera, or Human3.6M's (default: %(default)s)")
    group.add_argument(
        "--roll",
        type=float,
        default=MOST_ROLL,
        metavar="DEGREES",
        help="most roll of any camera, either way (default: %(default)g)",
    )
    group.add_argument(
        "--detector_noise",
        type=float,
        default=NOISE,
        metavar="SHARE",
        help="errors of the detector, as a share of COCO's annotators'; 0: its definition of joints alone (default: %(default)g)",
    )
    group.add_argument(
        "--align",
        nargs="*",
        choices=("canonical",),
        default=["canonical"],
        help="cameras are turned to the root; nothing: they are not (default: canonical)",
    )
    group.add_argument(
        "--scale",
        choices=("spread", "none"),
        default="spread",
        help="pictures are brought to one size, or left as they are (default: %(default)s)",
    )


@dataclass(frozen=True)
class AnyCamera:
    """How people are seen.

    Attributes:
        setup, most_roll: of `common.mocap.filming.draw_cameras`.
        definition: of the 2D joints, one of `common.mocap.filming.DEFINITIONS`.
        noise: of the detector (`common.mocap.detector_errors`).
        canonical: cameras are turned to the root.
        scale: pictures are brought to one size.
    """

    setup: str
    most_roll: float
    definition: str
    noise: float
    canonical: bool
    scale: bool

    @classmethod
    def of(cls, args: argparse.Namespace) -> "AnyCamera":
        """As the options of `add_filming_arguments` and `--keypoints` say.

        Raises:
            DuaError: options that exclude each other, or numbers that no camera or detector has.
        """
        definitions = {"detector": "detector", "gt": "h36m"}
        if args.keypoints not in definitions:
            raise DuaError(f"--keypoints {args.keypoints}: 'detector' or 'gt' (the labels' own joints) can be made of people")
        if not 0 <= args.roll <= 180:
            raise DuaError(f"--roll {args.roll:g}: 0 to 180 degrees are possible")
        if not 0 <= args.detector_noise <= 10:
            raise DuaError(f"--detector_noise {args.detector_noise:g}: 0 to 10 times the annotators' are possible")
        if args.keypoints == "gt" and "detector_noise" in args.given and args.detector_noise:
            raise DuaError("--detector_noise is a detector's, and --keypoints gt has none; leave one of them out")
        noise = args.detector_noise if args.keypoints == "detector" else 0.0
        return cls(args.cameras, args.roll, definitions[args.keypoints], noise, "canonical" in args.align, args.scale == "spread")

    def describe(self) -> str:
        """What a log says."""
        return f"people are seen anew: {self.setup} cameras, joints of {self.definition}, noise {self.noise:g}"

    def validation(self, people: People) -> Poses:
        """People seen once, as training sees them; labelled."""
        rows = torch.linspace(0, len(people) - 1, min(_VALIDATION, len(people))).long()
        batch = people.joints_3d[rows], people.points_3d[rows]
        return Poses(people.name, *self.see(batch, torch.Generator().manual_seed(0)), sequences=())

    def see(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """inputs_2d (B, 16, 2), targets_3d (B, 16, 3) of joints_3d (B, 16, 3) and points_3d (B, 17, 3), world metres."""
        joints, points = batch
        heights = joints[:, ROOT, 2]
        hips = joints[:, ROOT, None]
        joints, points = stretched_with(joints - hips, points - hips, limb_factors(len(joints), generator).to(joints))
        joints, points = mirror_some(joints, points, COCO_MIRROR, generator)
        cameras = draw_cameras(heights, generator, self.setup, self.most_roll)
        rotations, roots, lens = (tensor.to(joints) for tensor in (cameras.rotations, cameras.roots_3d, cameras.intrinsics))
        joints, points = (torch.einsum("nij,nkj->nki", rotations, places) for places in (joints, points))
        seen = seen_joints(joints[:, None], points[:, None], roots[:, None], lens, self.definition, self.noise, generator)[:, 0]
        if self.canonical:
            focal, center = lens[:, :2], lens[:, None, 2:]
            if self.setup == "any":
                unknown = (torch.rand(len(joints), 1, generator=generator) < _UNKNOWN_LENS).to(seen.device)
                focal = torch.where(unknown, assumed_focal(cameras.aspects).to(seen)[:, None], focal)
            seen, turned = turn_to_root((seen - center) / focal[:, None], focal)
            joints = torch.einsum("nij,nkj->nki", turned, joints)
        return Scale("spread" if self.scale else "none")(seen), joints


def stretched_with(joints_3d: Tensor, points_3d: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
    """Limbs stretched, and the keypoints that go with them; see `common.adaptation.augment.stretched`."""
    anchors = list(_ANCHORS)
    longer = stretched(joints_3d, factors)
    return longer, longer[:, anchors] + (points_3d - joints_3d[:, anchors]) * factors[:, anchors, None]
