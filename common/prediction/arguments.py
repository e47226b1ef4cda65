"""Options of how 2D joints are read, what is made of predictions and how it is written; `predict.py`'s."""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

from common.detections.keypoints import ORDERS
from common.errors import DuaError
from common.prediction.lens import ASSUMED_FOV
from common.prediction.outputs import WITHOUT_CAMERA, check_output
from common.training.arguments import check_fps

FPS = 30.0
"""Of a video, if nothing says it."""


def add_keypoint_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("keypoints")
    group.add_argument("--skeleton", choices=list(ORDERS), help="order of the joints (default: as the file or their number says)")
    group.add_argument(
        "--image_size", nargs=2, type=int, metavar=("WIDTH", "HEIGHT"), help="pixels of a frame (default: as the file says)"
    )
    group.add_argument(
        "--focal_length",
        type=float,
        metavar="PIXELS",
        help="of the camera; for --trajectory and networks trained with --align canonical",
    )
    group.add_argument(
        "--fov",
        type=float,
        metavar="DEGREES",
        help=f"in its place, what the camera sees along the picture's longer side (default: {ASSUMED_FOV:g})",
    )
    group.add_argument("--person", type=int, metavar="N", help="whom to take, by number (default: who is seen longest)")
    group.add_argument(
        "--all_people",
        action="store_true",
        default=None,
        help="take everybody: a file each, named by their numbers, and one rendering",
    )
    group.add_argument("--clip", metavar="NAME", help="which video, of a file or folder that holds several")
    group.add_argument(
        "--min_confidence", type=float, metavar="C", help="joints below count as not seen (default: as suits the detector)"
    )
    group.add_argument(
        "--joints", metavar="FILE", help="keep a video's 2D joints in this .json or .npz, or take them from it if it is there"
    )
    group.add_argument(
        "--fix_swaps",
        action="store_true",
        default=None,
        help="exchange left and right back where the detector seems to have exchanged them (default: say so, and take them as they are)",
    )


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--fps", type=float, help=f"frames per second of the video (default: as the file says, else {FPS:g})")
    group.add_argument("--smooth", action="store_true", default=None, help="smooth the poses in time (Savitzky-Golay)")
    group.add_argument(
        "--trajectory",
        action="store_true",
        default=None,
        help="where the hip is from the camera, in every output: as large as the network makes people, smoothed in time",
    )
    group.add_argument(
        "--as_detector",
        action="store_true",
        default=None,
        help="joints where the detector means them, its hips and its head (default: where the labels have them that the network learnt)",
    )
    group.add_argument(
        "--camera_pitch",
        type=float,
        metavar="DEGREES",
        help="how far the camera looks down, for .bvh, .trc and --render (default: 0)",
    )
    group.add_argument(
        "--camera_roll",
        type=float,
        metavar="DEGREES",
        help="how far it is turned clockwise, as who holds it sees it (default: 0)",
    )
    group.add_argument(
        "--floor",
        action="store_true",
        default=None,
        help="in .bvh and .trc, put the lowest joint of each frame, mostly a foot, on the floor (default: the hip is at the origin)",
    )


def check_output_arguments(args: argparse.Namespace) -> None:
    """Before anything is read. Uses `out` and `render` as well, and the `keypoints` that they must not be.

    Raises:
        DuaError: an output that cannot be written, or an option that changes nothing of what is written.
    """
    outputs = [check_output(path) for path in args.out]
    refuse_input([*outputs, *([Path(args.render)] if args.render else [])], args.keypoints, args.joints)
    check_fps(args.fps)
    upright = any(path.suffix.lower() not in WITHOUT_CAMERA for path in outputs)
    for name in ("camera_pitch", "camera_roll"):
        angle = getattr(args, name)
        if angle is not None and not -180 <= angle <= 180:
            raise DuaError(f"--{name} {angle:g}: -180 to 180 degrees are possible")
        if angle is not None and not (args.render or upright):
            raise DuaError(f"--{name} turns .bvh and .trc files and renderings upright and changes no other; leave it out")
    if args.floor and not upright:
        raise DuaError("--floor moves what .bvh and .trc files hold and changes no other; leave it out")


def refuse_input(outputs: Iterable[Path], *inputs: str | None) -> None:
    """Raise a `DuaError` if one of the outputs is a file of 2D joints, or the video."""
    for path in outputs:
        if os.path.realpath(path) in map(os.path.realpath, filter(None, inputs)):
            raise DuaError(f"{path} is the file of 2D joints itself; write elsewhere")
