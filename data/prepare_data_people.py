"""Build people in motion, before any camera, from BVH motion-capture files: what `train_open.py` reads.

    python data/prepare_data_people.py cmu_mb_01_09.zip data/demo/motion.h5 --held_out 06 08 --out data/people
    python data/prepare_data_people.py bandai_namco_1.zip bandai_namco_2.zip --bodies 1 --out data/people_bandai

Takes folders, .bvh files and .zip archives as `data/prepare_data_bvh.py` does, and `data/demo/motion.h5`. Who wore the markers is what a
file's name begins with, up to the first underscore or space ('05_12.bvh': 05), and of the demo's clips 'demo'. People who are held
out are never trained on.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from common.compute.processes import add_workers_argument
from common.errors import DuaError
from common.mocap.bvh import load_all_bvh
from common.mocap.bvh_files import find_bvh
from common.mocap.motion import Motion, load_deepmimic_clips
from common.mocap.people import FPS, build_people, path_people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "sources", nargs="+", type=Path, metavar="FOLDER_OR_ZIP", help="folders, .bvh files, .zip archives, motion.h5"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write people.npz into")
    parser.add_argument(
        "--held_out",
        nargs="*",
        default=[],
        metavar="NAME",
        help="whose clips are held out for validation (default: a tenth of all clips)",
    )
    parser.add_argument("--conventions", type=Path, metavar="JSON", help="further names of joints")
    parser.add_argument(
        "--bodies",
        type=int,
        default=6,
        help="that perform each clip, from the third on with the upper body of another (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same file (default: %(default)s)")
    add_workers_argument(parser)
    args = parser.parse_args()
    if args.bodies < 1:
        raise DuaError(f"--bodies {args.bodies}: at least 1 is needed")

    motions: dict[str, Motion] = {}
    person_of: dict[str, str] = {}
    for path in (path for path in args.sources if path.suffix == ".h5"):
        clips = load_deepmimic_clips(path, FPS)
        motions |= clips
        person_of |= dict.fromkeys(clips, "demo")
    files = [path for path in args.sources if path.suffix != ".h5"]
    sources = find_bvh(files) if files else []
    motions |= load_all_bvh(sources, FPS, args.conventions, args.workers)
    person_of |= {source.name: re.split(r"[_ ]", source.stem)[0] for source in sources}
    sums = build_people(motions, person_of, args.held_out, args.bodies, args.seed, args.out, args.workers)
    for split, sizes in sums.items():
        print(f"{split:<10} {sizes['people']:3d} people {sizes['clips']:5d} clips {sizes['frames']:9,d} frames")
    print(f"wrote {path_people(args.out)}")


if __name__ == "__main__":
    run_script(main)
