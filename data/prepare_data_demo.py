"""Build the demo data: real human motion in the layouts of Human3.6M and SURREAL, in seconds and without a licence.

    python data/prepare_data_demo.py
    python data/prepare_data_demo.py --poses 6500000 --out data/large    # a SURREAL domain of SURREAL's size, 3.1 GB

Reads `data/demo/motion.h5` (15 motion-capture clips, see `data/demo/NOTICE`) and writes into `data/demo/`

    data_3d_h36m.npz          world positions of seven subjects with different bodies, Human3.6M's joints
    data_3d_h36m_smpl.npz     SMPL's joints of the same bodies, frame by frame: pairs for the pose converter
    data_2d_h36m_gt.npz       projections into Human3.6M's four cameras
    data_2d_h36m_detector.npz what a detector would find there: COCO's seventeen keypoints with its errors
    surreal_{train,test}.h5   other clips, other bodies, SMPL's joints, before SURREAL's camera
    dataset.json              who performed what: bodies, clips, splits, cameras, joint offsets
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS
from common.errors import DuaError
from common.mocap.domain_builder import add_size_arguments, build_domains, summarise
from common.mocap.motion import load_deepmimic_clips
from common.mocap.takes import FPS, Clips

DEMO = Path(__file__).resolve().parent / "demo"

# Test clips are the same movements in both domains, on other bodies; no training clip of either domain is among them, and
# the two domains train on different movements.
TEST = ("run", "dance_a", "kick", "jump")
H36M_TRAIN = Clips(train=("walk", "dance_b", "spinkick", "getup_faceup", "crawl"), validation=("punch",), test=())
H36M = {s: H36M_TRAIN for s in TRAIN_SUBJECTS} | {s: Clips((), (), TEST) for s in TEST_SUBJECTS}
SURREAL = Clips(train=("spin", "cartwheel", "backflip", "getup_facedown"), validation=("roll",), test=TEST)
SURREAL_TAKES = 10  # bodies of the SURREAL domain for each of Human3.6M's: it has one camera and one body a take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", type=Path, default=DEMO / "motion.h5", help="file with the clips (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEMO, help="folder to write into (default: %(default)s)")
    parser.add_argument("--takes", type=int, default=6, help="takes of each clip by each subject (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files (default: %(default)s)")
    add_size_arguments(parser)
    args = parser.parse_args()
    if args.takes < 1:
        raise DuaError(f"--takes {args.takes}: at least 1 is needed")
    motions = load_deepmimic_clips(args.motion, FPS)
    source = "motion-capture clips of pybullet, data/demo/NOTICE"
    description = build_domains(
        motions,
        H36M,
        SURREAL,
        args.takes,
        SURREAL_TAKES * args.takes,
        args.seed,
        args.out,
        source,
        args.poses,
        args.workers,
        args.detector_noise,
    )
    print(summarise(description))
    print(f"wrote them into {args.out}")


if __name__ == "__main__":
    run_script(main)
