"""Make `data/demo/motion.h5` from the motion-capture clips that the `pybullet` package carries. Run once, by a developer.

    pip download --no-deps pybullet==3.2.7
    python data/extract_demo_motion.py pybullet-3.2.7-*.whl

The clips are `pybullet_data/data/motions/humanoid3d_*.txt`, in DeepMimic's format (Peng, Abbeel, Levine, van de Panne,
"DeepMimic", SIGGRAPH 2018): JSON with 44 numbers a frame. They are kept as they are, in float32: see `data/demo/NOTICE`.
"""

import argparse
import json
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import h5py
import numpy as np

from common.errors import DuaError
from common.files.writing import atomic_write

_PREFIX = "pybullet_data/data/motions/humanoid3d_"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="the pybullet wheel, a .whl file")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "demo" / "motion.h5", help="file to write")
    args = parser.parse_args()
    try:
        with zipfile.ZipFile(args.wheel) as wheel:
            members = sorted(name for name in wheel.namelist() if name.startswith(_PREFIX) and name.endswith(".txt"))
            clips = {name[len(_PREFIX) : -len(".txt")]: json.loads(wheel.read(name))["Frames"] for name in members}
    except (OSError, zipfile.BadZipFile) as error:
        raise DuaError(f"cannot read {args.wheel} ({error}); get it with: pip download --no-deps pybullet==3.2.7") from error
    if not clips:
        raise DuaError(f"{args.wheel} holds no {_PREFIX}*.txt; a pybullet wheel was expected")
    with atomic_write(args.out) as file, h5py.File(file, "w", track_order=True) as h5:
        h5.attrs["source"] = f"{args.wheel.name}: {_PREFIX}*.txt"
        h5.attrs["columns"] = "duration s; root x y z m; quaternions w x y z and hinge angles in DeepMimic's joint order"
        for name, frames in clips.items():
            table = np.array(frames, dtype=np.float32)
            h5.create_dataset(name, data=table, compression="gzip", compression_opts=9, shuffle=True)
    total = sum(len(frames) for frames in clips.values())
    print(f"{args.out}: {len(clips)} clips, {total} frames, {args.out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    run_script(main)
