"""3D poses from the 2D joints that a detector found in a video.

    python predict.py detections.json --checkpoint checkpoint/prob --image_size 1920 1080 --out poses.npz    # its newest run
    python predict.py video.mp4.npz --checkpoint checkpoint/prob/<run> --out poses.bvh --fps 25 --camera_pitch 10
    python predict.py detections.json --checkpoint checkpoint/prob/<run> --image_size 1920 1080 --person 2 --out a.csv --render a.gif
    python predict.py walk.mp4 --checkpoint checkpoint/prob/<run> --out walk.bvh --render walk.html
    python predict.py openpose_folder --checkpoint checkpoint/prob/<run> --image_size 1920 1080 --out poses.npz
    python predict.py --checkpoint checkpoint/prob/<run> --export model.onnx

Reads what Detectron2 (through VideoPose3D's scripts), MMPose, AlphaPose, Ultralytics, OpenPose (its folder, too) and MediaPipe
write, COCO annotations, and plain .npy and .npz; which of them is known by the content. Of a video the 2D joints are detected first,
as `detect.py` does it, and --render shows it under them. Of several people the one who is seen
longest is taken; numbers that the file gives them count where no two people have the same. Joints that were not seen (NaN, exactly
(0, 0) or (-1, -1), too little confidence) are interpolated in time and marked; frames before a person comes and after it leaves
have no pose. Where the detector seems to have exchanged left and right it is said, and mended with --fix_swaps. Poses are in camera
axes, in metres from the hip; a BVH file is turned upright, with the hip at the origin or, with --floor, the feet on the floor, and
with both sides of the body of one length. Importing it into Blender, tick "Scene FPS" and "Scene Duration".
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.detections.detector import check_joints_file, find_detector, keypoints_of
from common.detections.files import KeypointFile, read_keypoints
from common.detections.keypoints import ORDERS, choose_order
from common.detections.swaps import SLOWEST
from common.detections.tracks import Track, who_is_who
from common.errors import DuaError
from common.files.video import VideoFile, is_video, look_at
from common.prediction.onnx_export import export_onnx
from common.prediction.outputs import Clip, check_folder, check_output, write_clip
from common.prediction.predictor import Predictor
from common.training.arguments import check_fps

_FPS = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "keypoints", nargs="?", metavar="KEYPOINTS", help="file of 2D joints, or a folder of one a frame, or a video"
    )
    parser.add_argument(
        "-c",
        "--checkpoint",
        required=True,
        metavar="RUN",
        help="run folder (its best epoch), a folder of runs (its newest), or a checkpoint",
    )
    parser.add_argument(
        "-o", "--out", action="append", default=[], metavar="FILE", help="poses in .npz, .json, .csv or .bvh; may be repeated"
    )
    parser.add_argument("--render", metavar="FILE", help="the poses as .gif, .mp4, .png (some frames) or .html")
    parser.add_argument("--export", metavar="FILE.onnx", help="write the network as ONNX instead; takes no KEYPOINTS")
    parser.add_argument("-dv", "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    parser.add_argument(
        "--domain",
        choices=("source", "target"),
        default="source",
        help="whose BatchNorm statistics, of a network trained with --domain_bn (default: %(default)s)",
    )
    group = parser.add_argument_group("keypoints")
    group.add_argument("--skeleton", choices=list(ORDERS), help="order of the joints (default: as the file or their number says)")
    group.add_argument(
        "--image_size", nargs=2, type=int, metavar=("WIDTH", "HEIGHT"), help="pixels of a frame (default: as the file says)"
    )
    group.add_argument(
        "--focal_length", type=float, metavar="PIXELS", help="of the camera; only networks trained with --align canonical need it"
    )
    group.add_argument("--person", type=int, metavar="N", help="whom to take, by number (default: who is seen longest)")
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
    group = parser.add_argument_group("output")
    group.add_argument("--fps", type=float, help=f"frames per second of the video (default: as the file says, else {_FPS:g})")
    group.add_argument(
        "--camera_pitch", type=float, metavar="DEGREES", help="how far the camera looks down, for .bvh and --render (default: 0)"
    )
    group.add_argument(
        "--floor",
        action="store_true",
        default=None,
        help="in .bvh, raise each frame until the lowest joint, mostly a foot, is on the floor (default: the hip is at the origin)",
    )
    args = parser.parse_args()

    if args.export:
        export(args)
        return
    if not args.keypoints or not (args.out or args.render):
        raise DuaError("KEYPOINTS and --out FILE or --render FILE are needed, or --export FILE.onnx; see --help")
    outputs = [check_output(path) for path in args.out]
    for path in [*outputs, *([Path(args.render)] if args.render else [])]:
        if os.path.realpath(path) in map(os.path.realpath, filter(None, (args.keypoints, args.joints))):
            raise DuaError(f"{path} is the file of 2D joints itself; write elsewhere")
    if args.render:
        from common.rendering.outputs import check_output as check_rendering  # here, not above: who draws nothing need not wait

        check_rendering(args.render)
    check_fps(args.fps)
    if args.camera_pitch is not None and not -180 <= args.camera_pitch <= 180:
        raise DuaError(f"--camera_pitch {args.camera_pitch:g}: -180 to 180 degrees are possible")
    if args.camera_pitch is not None and not (args.render or any(path.suffix.lower() == ".bvh" for path in outputs)):
        raise DuaError("--camera_pitch turns .bvh files and renderings upright and changes no other; leave it out")
    if args.floor and not any(path.suffix.lower() == ".bvh" for path in outputs):
        raise DuaError("--floor moves what .bvh files hold and changes no other; leave it out")

    video = checked_video(args)
    predictor = Predictor.load(args.checkpoint, args.device, args.domain)
    if args.focal_length is not None and not predictor.test_time.canonical:
        raise DuaError("--focal_length is for networks trained with --align canonical; this one does without, leave it out")
    file = keypoints_of(video, args.joints and Path(args.joints)) if video else read_keypoints(args.keypoints, args.clip)
    fps = args.fps or file.fps or _FPS
    image_size = args.image_size or file.image_size
    if image_size is None:
        raise DuaError(f"{args.keypoints} ({file.source}) does not say how large the frames are; give --image_size WIDTH HEIGHT")
    threshold = file.threshold if args.min_confidence is None else args.min_confidence
    try:
        detections, multiplied = file.in_pixels(tuple(image_size))
        everybody = np.stack([detection.keypoints_2d for detection in detections])
        skeleton = choose_order(everybody.shape[1], args.skeleton or file.skeleton, everybody)
        tracks, notes = who_is_who(detections, threshold)
        print(*notes, sep="\n", end="\n" if notes else "")
        track = choose_person(tracks, args.person, file)
        frames, keypoints_2d, confidences = track.arrays()
        frames, rate = file.in_video(frames), fps / file.step
        prediction = predictor(
            keypoints_2d,
            tuple(image_size),
            skeleton,
            confidences,
            threshold,
            args.focal_length,
            fix_swaps=bool(args.fix_swaps),
            frames=frames,
            fps=rate,
        )
    except DuaError as error:
        raise DuaError(f"{args.keypoints}: {error}") from error

    if args.skeleton:
        said = "as --skeleton says"
    elif video:
        said = "the detector's"
    else:
        said = ("" if file.skeleton or skeleton != "coco" else "as eyes and ears lie; ") + "--skeleton names another"
    print(f"{args.keypoints}: {file.source}, joints in the order {skeleton} ({said}), {image_size[0]} x {image_size[1]} pixels")
    if multiplied:
        print(
            f"places from 0 to 1 are taken for shares of the image, and multiplied by its {image_size[0]} x {image_size[1]} pixels"
        )
    clip = Clip(
        prediction,
        frames,
        tuple(image_size),
        fps,
        predictor.definition,
        predictor.uncertainty_unit,
        args.camera_pitch or 0.0,
        bool(args.floor),
    )
    report_filled(track, clip, file.step)
    if args.fix_swaps and not prediction.exchanged.any():
        slow = (
            f"not looked for in {rate:.3g} poses a second, where a quick turn looks the same" if rate < SLOWEST else "none found"
        )
        print(f"--fix_swaps: {slow}")
    where = "lowest joint of each frame on the floor" if args.floor else "hip at the origin (--floor puts the feet on the floor)"
    for path in outputs:
        write_clip(path, clip)
        print(f"{path}" + (f", {where}, left and right bones of one length" if path.suffix.lower() == ".bvh" else ""))
    if args.render:
        from common.rendering.outputs import write_scene
        from common.rendering.prediction_scene import prediction_scene
        from common.rendering.video import Video

        images = Video(video, len(clip.frames), int(clip.frames[0]), file.step) if video else None
        write_scene(args.render, prediction_scene(clip, predictor, Path(args.keypoints).name, images))
        print(args.render)


def checked_video(args: argparse.Namespace) -> VideoFile | None:
    """The video, if KEYPOINTS is one, before anything else is read.

    Raises:
        DuaError: it cannot be decoded, there is no detector, or options do not suit it.
    """
    if not is_video(args.keypoints):
        if args.joints:
            raise DuaError(f"--joints keeps what is detected in a video, and {args.keypoints} is none; leave the option out")
        return None
    if args.joints:
        check_joints_file(args.joints)
    video = look_at(args.keypoints)
    of_files = {"clip": None, "skeleton": None, "image_size": list(video.size)}
    if given := [f"--{name}" for name, fitting in of_files.items() if getattr(args, name) not in (None, fitting)]:
        raise DuaError(f"{', '.join(given)}: the video {video.path} says it itself; leave it out")
    if not (args.joints and os.path.exists(args.joints)):
        find_detector()
    return video


def export(args: argparse.Namespace) -> None:
    if args.keypoints or args.out or args.render:
        raise DuaError(
            "--export writes the network and predicts nothing; leave KEYPOINTS, --out and --render out, or run it apart"
        )
    of_no_use = (
        "skeleton", "image_size", "focal_length", "person", "clip", "min_confidence", "joints", "fix_swaps", "fps", "camera_pitch", "floor",
    )  # fmt: skip
    if given := [f"--{name}" for name in of_no_use if getattr(args, name) is not None]:
        raise DuaError(f"{', '.join(given)} changes nothing of what --export writes; leave it out")
    path = Path(args.export)
    if path.suffix.lower() != ".onnx":
        raise DuaError(f"--export {path}: a name that ends in .onnx is needed")
    check_folder(path)
    # On the CPU: what is exported runs anywhere, and constants of another device would not.
    predictor = Predictor.load(args.checkpoint, "cpu", args.domain)
    names = export_onnx(predictor, path)
    print(f"{path}: inputs_2d (N, 16, 2) -> {', '.join(names)}")
    if predictor.test_time.canonical:
        print("inputs and poses are those of a camera that is turned to the root (--align canonical), which the file does not do")
    if predictor.test_time.flip:
        print("one pass: the mean with the mirrored picture (--tta) is not in the file")


def choose_person(tracks: Sequence[Track], person: int | None, file: KeypointFile) -> Track:
    """The track of the wanted person, or the longest; who else there is, is printed."""
    ends = [file.in_video(np.array([track.first, track.last])) for track in tracks[:8]]
    listed = ", ".join(f"{track.person} ({len(track)} frames from {a} to {b})" for track, (a, b) in zip(tracks, ends))
    listed += f", ... ({len(tracks)} in all)" if len(tracks) > 8 else ""
    if not tracks:
        raise DuaError("nobody has a joint in any frame")
    if person is None:
        if len(tracks) > 1:
            print(f"people: {listed}\nperson {tracks[0].person} is taken, who is seen longest; --person N takes another")
        return tracks[0]
    for track in tracks:
        if track.person == person:
            return track
    raise DuaError(f"there is no person {person}; there are: {listed}")


def report_filled(track: Track, clip: Clip, step: int) -> None:
    missing = clip.prediction.missing
    print(
        f"{len(missing)} poses, frames {clip.frames[0]} to {clip.frames[-1]}: the first and the last that this person is seen in"
    )
    if step > 1:
        rate = f"{clip.poses_per_second:.4g} poses a second of a video of {clip.fps:g} frames a second (--fps)"
        print(f"the detector saw one frame in {step}: {rate}")
    if missing.any():
        gaps = len(missing) - len(track)
        print(
            f"{missing.sum():,d} of {missing.size:,d} joints were not seen (the whole person in {gaps:,d} frames): "
            "they are filled, and marked as missing"
        )


if __name__ == "__main__":
    run_script(main)
