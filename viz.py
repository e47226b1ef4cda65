"""Predictions of a checkpoint on a clip, as an animation, a sheet of frames, or a page to turn them about.

    python viz.py --evaluate checkpoint/prob --viz_subject S11 --viz_action Kick --viz_output kick.gif
    python viz.py --evaluate checkpoint/surreal/<run> --viz_subject S11 --viz_action SittingDown --viz_output sitting.mp4 --viz_size 3
    python viz.py --compare checkpoint/plain/<run> checkpoint/dua/<run> --viz_subject S9 --viz_action Greeting --viz_output both.html
    python viz.py --evaluate checkpoint/h36m_dua/<run> --dataset surreal --viz_action 01_02 --viz_output run.png

Left the 2D input, then a panel for each checkpoint, then the ground truth. Blue is left, orange is right; joints are tinted by the
predicted uncertainty. The ending of `--viz_output` says what is made: .gif, .mp4, .png (frames spread over the clip) or .html
(one page that works offline: drag to turn, scrub in time). A folder of runs stands for its newest; data are the run's own.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import argparse
from pathlib import Path

from common.compute.device import choose_device
from common.datasets.clips import Clip, first_frames, load_h36m_clip, load_surreal_named
from common.datasets.views import screen_intrinsics
from common.errors import DuaError
from common.evaluation.evaluate import network_inputs
from common.files.arrays import require_file
from common.files.video import look_at
from common.geometry.camera import image_coordinates
from common.mocap.demo import build_demo_if_missing
from common.prediction.lifter import ARCHITECTURES, Lifter, load_lifter, own_data, usual_keypoints
from common.prediction.picture import warn_if_outside
from common.rendering.outputs import check_output, write_scene
from common.rendering.panels import prediction_panels, short_names
from common.rendering.scene import Scene
from common.rendering.video import Video
from common.training.arguments import check_fps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--evaluate", metavar="FILE", help="checkpoint, or run folder for its best, or a folder of runs for its newest"
    )
    parser.add_argument("--compare", nargs="+", default=[], metavar="FILE", help="checkpoints to show beside it")
    parser.add_argument(
        "--titles", nargs="+", metavar="NAME", help="of the checkpoints' panels (default: what the checkpoints are)"
    )
    parser.add_argument("--architecture", choices=list(ARCHITECTURES), help="checked against the checkpoints, which know it")
    parser.add_argument("-dv", "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    data = parser.add_argument_group("clip")
    data.add_argument("--dataset", choices=("h36m", "surreal"), default="h36m", help="(default: %(default)s)")
    data.add_argument("--data_dir", help="folder with the prepared data sets (default: the one that the run was trained from)")
    data.add_argument("-k", "--keypoints", help="2D joints of Human3.6M: gt, cpn_ft_h36m_dbb, ... (default: gt)")
    data.add_argument("--viz_subject", metavar="S11", help="subject of Human3.6M")
    data.add_argument(
        "--viz_action", metavar="NAME", required=True, help="action; of SURREAL a clip of the test split or its motion"
    )
    data.add_argument("--viz_camera", type=int, metavar="N", help="camera of Human3.6M, 0 to 3 (default: 0)")
    data.add_argument("--viz_limit", type=int, metavar="N", help="render the first N frames only")
    data.add_argument("--viz_downsample", type=int, default=1, metavar="N", help="render every N-th frame (default: %(default)s)")
    data.add_argument("--viz_video", metavar="FILE", help="the clip's video, shown under the 2D joints")
    data.add_argument(
        "--viz_skip", type=int, default=0, metavar="N", help="frames of the video before the first pose (default: 0)"
    )
    picture = parser.add_argument_group("picture")
    picture.add_argument("--viz_output", metavar="FILE", required=True, help=".gif, .mp4, .png or .html")
    picture.add_argument("--viz_size", type=float, default=3, metavar="N", help="inches of a panel (default: %(default)s)")
    picture.add_argument("--viz_bitrate", type=int, metavar="N", help="kbit/s of an MP4 (default: what a high quality takes)")
    picture.add_argument("--fps", type=float, help="frames shown a second (default: the recording's, over --viz_downsample)")
    args = parser.parse_args()
    check(args)
    device = choose_device(args.device)

    given = ([args.evaluate] if args.evaluate else []) + args.compare
    if args.titles and len(args.titles) != len(given):
        raise DuaError(f"--titles names {len(args.titles)} of {len(given)} checkpoints; name all, in their order, or none")
    lifters = [load_lifter(path, device, args.architecture) for path in given]
    data_dir = args.data_dir or own_data(lifters)
    if not args.data_dir:
        print(f"data: {data_dir}")
    build_demo_if_missing(data_dir)
    if args.dataset == "h36m":
        keypoints = args.keypoints or usual_keypoints(lifters)
        clip = load_h36m_clip(data_dir, args.viz_subject, args.viz_action, args.viz_camera or 0, keypoints, args.viz_downsample)
    else:
        keypoints = "gt"
        shoulders = {lifter.checkpoint["arguments"].get("smpl_shoulders", "shoulder") for lifter in lifters}
        if len(shoulders) > 1:
            raise DuaError("the checkpoints were trained with different --smpl_shoulders; show them apart")
        clip = load_surreal_named(data_dir, args.viz_action, shoulders.pop(), args.viz_downsample)
    if args.viz_limit is not None:
        clip = first_frames(clip, args.viz_limit)

    for lifter in lifters:
        warn_if_unlike(lifter, clip)
    panels, unit = prediction_panels(lifters, args.titles or short_names(lifters), clip.poses, clip.camera)
    (sequence,) = clip.poses.sequences
    scene = Scene(
        title=f"2D input ({keypoints})",
        subtitle=clip.name,
        joints_2d=image_coordinates(clip.poses.inputs_2d.double().numpy(), *sequence.resolution),
        resolution=sequence.resolution,
        panels=tuple(panels),
        fps=args.fps or clip.fps / clip.step,
        unit=unit,
        step=clip.step,
        images=Video(look_at(args.viz_video), len(clip.poses), args.viz_skip, clip.step) if args.viz_video else None,
    )
    write_scene(args.viz_output, scene, args.viz_size, args.viz_bitrate)
    for panel in panels[: len(lifters)]:
        print(f"{panel.title}: {panel.subtitle}".replace("→", "->"))  # not every terminal has an arrow
    print(args.viz_output)


def warn_if_unlike(lifter: Lifter, clip: Clip) -> None:
    """A line if the clip is none that the network was trained for."""
    inputs_2d, _ = network_inputs(clip.poses, lifter.test_time)
    warn_if_outside(lifter, inputs_2d, float(screen_intrinsics(clip.poses.sequences)[0, 0]), clip.name)


def check(args: argparse.Namespace) -> None:
    """Raise a `DuaError` for options that nothing can be rendered with, before anything is read."""
    check_output(args.viz_output)
    if not args.evaluate and not args.compare:
        raise DuaError("no checkpoint: give one with --evaluate, or several with --compare")
    for name, least in {"viz_limit": 1, "viz_downsample": 1, "viz_skip": 0, "viz_bitrate": 1}.items():
        value = getattr(args, name)
        if value is not None and value < least:
            raise DuaError(f"--{name} {value}: at least {least} is needed")
    if not 1 <= args.viz_size <= 20:
        raise DuaError(f"--viz_size {args.viz_size}: 1 to 20 inches a panel are possible")
    check_fps(args.fps)
    if args.viz_camera is not None and args.viz_camera not in range(4):
        raise DuaError(f"--viz_camera {args.viz_camera}: Human3.6M has the cameras 0, 1, 2 and 3")
    if args.dataset == "h36m" and args.viz_subject is None:
        raise DuaError("--viz_subject is needed for Human3.6M, such as --viz_subject S11")
    if args.dataset == "surreal":
        for name in ("viz_subject", "viz_camera", "keypoints"):
            if getattr(args, name) is not None:
                raise DuaError(f"--{name} belongs to Human3.6M; for --dataset surreal leave it out")
    output = Path(args.viz_output)
    if args.viz_video:
        require_file(Path(args.viz_video))
    if args.viz_video and output.exists() and output.samefile(args.viz_video):
        raise DuaError(f"--viz_output {output} is the video that --viz_video reads; choose another name")
    if args.viz_skip and not args.viz_video:
        raise DuaError("--viz_skip skips frames of a video: give one with --viz_video, or leave it out")


if __name__ == "__main__":
    run_script(main)
