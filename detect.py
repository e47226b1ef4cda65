"""The 2D joints of the person in a video, which `predict.py` lifts to 3D: found by MediaPipe, which runs beside the project.

    python3 -m venv .detector                        # once; Python 3.9 to 3.12
    .detector/bin/pip install mediapipe==0.10.14
    python detect.py walk.mp4 --out walk.json
    python predict.py walk.json --checkpoint checkpoint/prob --out walk.bvh

`predict.py` takes videos as well, and then does both; this script needs no torch, so that it may run elsewhere. The file holds 33
landmarks of each frame in pixels with their visibility, the size of the frames and their rate; as .npz `keypoints` (T, 33, 4),
NaN in frames without a person. Videos are turned as their metadata say and taken at a constant rate. MediaPipe finds one person.
Its Python is the one that the environment variable DUA_DETECTOR names, or .detector/bin/python, or the one that runs this.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

import argparse
import os

from common.detections.detector import check_joints_file, detect, find_detector, write_joints
from common.errors import DuaError
from common.files.video import look_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", metavar="VIDEO", help="what a player shows: .mp4, .mov, .avi, .mkv, .webm, ...")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="2D joints in .json or .npz")
    args = parser.parse_args()

    out = check_joints_file(args.out)
    if os.path.realpath(out) == os.path.realpath(args.video):
        raise DuaError(f"--out {out} is the video itself; write elsewhere")
    video = look_at(args.video)
    find_detector()
    print(*video.notes(), sep="\n", flush=True)
    content, notes = detect(video)
    write_joints(out, content)
    print(*notes, out, sep="\n")


if __name__ == "__main__":
    run_script(main)
