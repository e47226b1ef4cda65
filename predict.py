"""3D poses from a video, or from the 2D joints that a detector found in one.

    python predict.py walk.mp4 --out walk.bvh --render walk.html                       # a detector is needed (docs/predict.md)
    python predict.py detections.json --image_size 1920 1080 --out poses.npz           # by the open weights
    python predict.py detections.json --checkpoint checkpoint/prob --image_size 1920 1080 --person 2 --out a.csv --render a.gif
    python predict.py video.mp4.npz --out poses.bvh --fps 25 --camera_pitch 10
    python predict.py openpose_folder --image_size 1920 1080 --all_people --trajectory --smooth --fov 70 --out poses.trc
    python predict.py --export model.onnx

Reads what Detectron2 (through VideoPose3D's scripts), MMPose, AlphaPose, Ultralytics, OpenPose (its folder, too) and MediaPipe
write, COCO annotations, and plain .npy and .npz; which of them is known by the content. Of a video the 2D joints are detected first,
as `detect.py` does it, and --render shows it under them. Of several people the one who is seen
longest is taken; numbers that the file gives them count where no two people have the same. Joints that were not seen (NaN, exactly
(0, 0) or (-1, -1), too little confidence) are interpolated in time and marked; frames before a person comes and after it leaves
have no pose. Where the detector seems to have exchanged left and right it is said, and mended with --fix_swaps. Poses are in camera
axes, in metres from the hip; --trajectory says where the hip is. BVH and TRC files are turned upright, with the hip at the origin, or
where it is from the camera, or with --floor with the feet on the floor; in a BVH file both sides of the body have one length.
Importing it into Blender, tick "Scene FPS" and "Scene Duration".
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.detections.detector import check_joints_file, find_detector, keypoints_of
from common.detections.files import read_keypoints
from common.detections.keypoints import choose_order
from common.detections.swaps import SLOWEST
from common.detections.tracks import who_is_who
from common.errors import DuaError
from common.files.video import VideoFile, is_video, look_at
from common.prediction.arguments import FPS, add_keypoint_arguments, add_output_arguments, check_output_arguments, refuse_input
from common.prediction.lens import warn_of_assumed_lens
from common.prediction.onnx_export import export_onnx
from common.prediction.outputs import Clip, check_folder, write_clip
from common.prediction.people import choose_everybody, choose_person, path_of, report
from common.prediction.predictor import Prediction, Predictor
from common.prediction.smoothing import smooth, smooth_roots, window_frames
from common.prediction.trajectory import roots_in_camera
from common.training.open_weights import NAME as OPEN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "keypoints", nargs="?", metavar="KEYPOINTS", help="file of 2D joints, or a folder of one a frame, or a video"
    )
    parser.add_argument(
        "-c",
        "--checkpoint",
        default=OPEN,
        metavar="RUN",
        help="run folder (its best epoch), a folder of runs (its newest), or a checkpoint; open and open/semgcn are the weights that come with "
        "the project (default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--out",
        action="append",
        default=[],
        metavar="FILE",
        help="poses in .npz, .json, .csv, .bvh or .trc; may be repeated",
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
    add_keypoint_arguments(parser)
    add_output_arguments(parser)
    args = parser.parse_args()

    if args.export:
        export(args)
        return
    if not args.keypoints or not (args.out or args.render):
        raise DuaError("KEYPOINTS and --out FILE or --render FILE are needed, or --export FILE.onnx; see --help")
    check_output_arguments(args)
    if args.render:
        from common.rendering.outputs import check_output  # here, not above: who draws nothing need not wait

        check_output(args.render)
    if args.all_people and args.person is not None:
        raise DuaError("--all_people takes everybody and --person one of them; leave one out")
    video = checked_video(args)
    predictor = Predictor.load(args.checkpoint, args.device, args.domain)
    for name in ("focal_length", "fov"):
        if getattr(args, name) is not None and not (predictor.test_time.canonical or args.trajectory):
            raise DuaError(
                f"--{name} is for --trajectory and for networks trained with --align canonical; this one does without, leave it out"
            )
    if args.as_detector and "to_detector" not in predictor.lifter.networks:
        raise DuaError(f"--as_detector: {predictor.lifter.file} has no converter to a detector's joints; take --checkpoint open")
    file = keypoints_of(video, args.joints and Path(args.joints)) if video else read_keypoints(args.keypoints, args.clip)
    fps = args.fps or file.fps or FPS
    image_size = args.image_size or file.image_size
    if image_size is None:
        raise DuaError(f"{args.keypoints} ({file.source}) does not say how large the frames are; give --image_size WIDTH HEIGHT")
    if file.image_size is not None and tuple(image_size) != tuple(file.image_size):
        print(
            f"--image_size {image_size[0]} {image_size[1]} is taken, where {args.keypoints} says {file.image_size[0]} x {file.image_size[1]}"
        )
    threshold = file.threshold if args.min_confidence is None else args.min_confidence
    try:
        detections, multiplied = file.in_pixels(tuple(image_size))
        everybody = np.stack([detection.keypoints_2d for detection in detections])
        skeleton = choose_order(everybody.shape[1], args.skeleton or file.skeleton, everybody)
        tracks, notes = who_is_who(detections, threshold)
        print(*notes, sep="\n", end="\n" if notes else "")
        if args.all_people:
            people, left_out = choose_everybody(tracks, file)
            refuse_input((path_of(Path(out), track.person) for track in people for out in args.out), args.keypoints, args.joints)
        else:
            people, left_out = [choose_person(tracks, args.person, file)], {}
        rate = fps / file.step
        clips = {}
        for track in people:
            frames, keypoints_2d, confidences = track.arrays()
            frames = file.in_video(frames)
            try:
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
                    fov=args.fov,
                )
                clips[track.person] = finish(prediction, frames, fps, predictor, args)
            except DuaError as error:
                if not args.all_people:
                    raise
                left_out[track.person] = str(error)
        if not clips:
            raise DuaError("nobody can be lifted; " + "; ".join(f"person {person}: {why}" for person, why in left_out.items()))
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
    for person, why in left_out.items():
        print(f"person {person} is left out: {why}")
    for track in people:
        if track.person in clips:
            report(track, clips[track.person], file.step, f"person {track.person}: " if args.all_people else "")
    if args.trajectory and args.focal_length is None and args.fov is None and not predictor.test_time.canonical:
        warn_of_assumed_lens("--trajectory needs the camera's lens")
    if args.smooth and window_frames(rate) == 1:
        print(f"--smooth: nothing is smoothed in {rate:.3g} poses a second, which are too few")
    if args.fix_swaps and not any(clip.prediction.exchanged.any() for clip in clips.values()):
        slow = (
            f"not looked for in {rate:.3g} poses a second, where a quick turn looks the same" if rate < SLOWEST else "none found"
        )
        print(f"--fix_swaps: {slow}")
    write(clips, predictor, args, video, file.step)


def finish(prediction: Prediction, frames: np.ndarray, fps: float, predictor: Predictor, args: argparse.Namespace) -> Clip:
    """A prediction with what --smooth and --trajectory make of it."""
    roots_3d = None
    if args.as_detector:
        converted = predictor.to_detector(prediction.poses_3d)
        assert converted is not None, "asked before anything was read"
        prediction = replace(prediction, poses_3d=converted)
    if args.smooth:
        prediction = replace(prediction, poses_3d=smooth(prediction.poses_3d, frames, fps))
    if args.trajectory:
        seen = prediction.keypoints_2d, prediction.image_size, prediction.focal_length, prediction.missing
        roots_3d = smooth_roots(roots_in_camera(prediction.poses_3d, *seen), frames, fps)
    return Clip(
        prediction,
        frames,
        fps,
        predictor.definition,
        predictor.uncertainty_unit,
        roots_3d,
        args.camera_pitch or 0.0,
        args.camera_roll or 0.0,
        bool(args.floor),
    )


def write(clips: Mapping[int, Clip], predictor: Predictor, args: argparse.Namespace, video: VideoFile | None, step: int) -> None:
    if args.floor:
        where = "lowest joint of each frame on the floor"
    elif args.trajectory:
        where = "hip where it is from the camera"
    else:
        where = "hip at the origin (--floor puts the feet on the floor)"
    said = {".bvh": f", {where}, left and right bones of one length", ".trc": f", {where}"}
    for given in map(Path, args.out):
        for person, clip in clips.items():
            path = path_of(given, person if args.all_people else None)
            write_clip(path, clip)
            late = f", from frame {clip.frames[0]} of the video on" if path.suffix.lower() in said and clip.frames[0] else ""
            print(f"{path}{said.get(path.suffix.lower(), '')}{late}")
    if args.render:
        from common.rendering.outputs import write_scene
        from common.rendering.prediction_scene import prediction_scene
        from common.rendering.video import Video

        images = None
        if video:
            frames = np.concatenate([clip.frames for clip in clips.values()])
            images = Video(video, int(np.ptp(frames)) // step + 1, int(frames.min()), step)
        write_scene(args.render, prediction_scene(clips, predictor, Path(args.keypoints).name, images))
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
        "skeleton", "image_size", "focal_length", "fov", "person", "all_people", "clip", "min_confidence", "joints", "fix_swaps", "fps",
        "smooth", "trajectory", "as_detector", "camera_pitch", "camera_roll", "floor",
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
    scale = predictor.test_time.scale
    if scale.kind != "none":
        print(
            f"inputs are brought to one size (--scale {scale.kind}, {scale.size:.6g}: common.datasets.views.Scale), which the file does not do "
            "either"
        )
    if predictor.test_time.flip:
        print("one pass: the mean with the mirrored picture (--tta) is not in the file")


if __name__ == "__main__":
    run_script(main)
