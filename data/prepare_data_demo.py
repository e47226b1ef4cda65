"""Build the demo data: real human motion in the Human3.6M layout, in seconds and without a licence.

    python data/prepare_data_demo.py

Reads `data/demo/motion.h5` (15 motion-capture clips, see `data/demo/NOTICE`) and writes into `data/demo/`

    data_3d_h36m.npz      world positions of seven subjects with different bodies
    data_2d_h36m_gt.npz   their projections into Human3.6M's four cameras
    dataset.json          who performed what: bodies, clips, splits
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that `common` is found from the repository root

from common.domain_builder import FPS, Clips, build_h36m_domain
from common.errors import DuaError, run_script
from common.motion import load_deepmimic_clips

DEMO = Path(__file__).resolve().parent / "demo"

H36M_CLIPS = Clips(
    train=("walk", "dance_b", "spinkick", "getup_faceup", "crawl"),
    validation=("punch",),
    test=("run", "dance_a", "kick", "jump"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--motion", type=Path, default=DEMO / "motion.h5", help="file with the clips (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEMO, help="folder to write into (default: %(default)s)")
    parser.add_argument("--takes", type=int, default=6, help="takes of each clip by each subject (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files (default: %(default)s)")
    args = parser.parse_args()
    if args.takes < 1:
        raise DuaError(f"--takes {args.takes}: at least 1 is needed")
    motions = load_deepmimic_clips(args.motion, FPS)
    description = build_h36m_domain(motions, H36M_CLIPS, args.takes, args.seed, args.out)
    for split in ("train", "validation", "test"):
        sequences = [entry for entry in description["h36m"]["sequences"] if entry["split"] == split]
        frames = sum(entry["frames"] for entry in sequences)
        print(f"{split:>10}: {len(sequences):4d} takes, {frames:6,d} frames, {4 * frames:7,d} poses seen by the four cameras")
    print(f"wrote data_3d_h36m.npz, data_2d_h36m_gt.npz and dataset.json into {args.out}")


if __name__ == "__main__":
    run_script(main)
