"""Make `surreal_{train,val,test}.h5` from SURREAL, in whichever of three forms you have it.

    python data/prepare_data_surreal.py --from-surreal /path/to/SURREAL/data/cmu      # SURREAL's own *_info.mat
    python data/prepare_data_surreal.py --from-pose2mesh /path/to/Pose2Mesh/data/SURREAL/data   # train.json, val.json
    python data/prepare_data_surreal.py --from-npy surreal.npy --split train          # the published DUA code's file

A clip that cannot be read, or whose 3D and 2D joints do not belong together, is named and skipped; frames that show
nobody are left out. `data/README.md` says where each form is obtained.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

# Run as a script, Python looks for modules beside the script alone; `common` lies one folder up.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.start import run_script  # isort: skip  (before all else: see there)

from tqdm import tqdm

from common.compute.signals import watch_for_stop
from common.datasets.surreal_file import SPLITS, path_surreal
from common.errors import DuaError
from common.preparation.surreal_sources import Problem, Source, read_npy, read_pose2mesh
from common.preparation.surreal_tree import find_tree, read_tree
from common.preparation.surreal_writer import SurrealWriter


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from-surreal",
        type=Path,
        metavar="DIR",
        help="SURREAL's folder cmu, in which train/run0/01_01/01_01_c0001_info.mat and so on lie; videos are not needed",
    )
    source.add_argument("--from-pose2mesh", type=Path, metavar="DIR", help="folder with Pose2Mesh's train.json and val.json")
    source.add_argument(
        "--from-npy",
        type=Path,
        metavar="FILE",
        help="a pickled dictionary with '3d_joints' and '2d_joints', as the published DUA code reads it; needs --split",
    )
    parser.add_argument("--split", choices=list(SPLITS), help="make this split alone (default: all that the source has)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="where the .h5 files go (default: %(default)s)",
    )
    parser.add_argument("--stride", type=positive, default=1, metavar="N", help="keep every N-th frame of each clip (default: 1)")
    parser.add_argument(
        "--workers",
        type=positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes that read *_info.mat; the result does not depend on it (default: %(default)s)",
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first clip that would be skipped")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args()
    if args.from_npy is not None and args.split is None:
        parser.error("--from-npy needs --split: the file does not say which part of SURREAL it holds")
    return args


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def find_splits(args: argparse.Namespace) -> tuple[str, dict[str, Callable[[], Source]]]:
    """The source's name, and how to read each split that it has."""
    if args.from_npy is not None:
        return f"DUA {args.from_npy.name}", {args.split: lambda: read_npy(args.from_npy, args.stride)}
    splits: dict[str, Callable[[], Source]]
    if args.from_surreal is not None:
        name, where = "SURREAL", args.from_surreal
        folders = find_tree(where)
        splits = {s: lambda folder=folder: read_tree(folder, args.stride, args.workers) for s, folder in folders.items()}
    else:
        name, where = "SURREAL by Pose2Mesh", args.from_pose2mesh
        files = {split: where / f"{split}.json" for split in SPLITS if (where / f"{split}.json").is_file()}
        splits = {s: lambda file=file: read_pose2mesh(file, args.stride) for s, file in files.items()}
        if not files:
            raise DuaError(f"{where} holds no train.json or val.json; name the folder with Pose2Mesh's annotations of SURREAL")
    if args.split is not None and args.split not in splits:
        raise DuaError(f"{where} has no split '{args.split}', it has: {', '.join(splits)}")
    return name, {split: read for split, read in splits.items() if args.split in (None, split)}


def refuse_existing(paths: list[Path], overwrite: bool) -> None:
    for path in paths:
        if path.exists() and not overwrite:
            raise DuaError(
                f"{path} exists already and was kept; replace it with --overwrite, make other splits with --split, or choose "
                "another folder with --out"
            )


def convert(source: Source, name: str, path: Path, strict: bool) -> None:
    """Write one split as it is read, and report."""
    skipped = dropped = 0
    with (
        SurrealWriter(path, name) as writer,
        tqdm(source.clips, path.stem, source.total, unit="clip", disable=None) as clips,
        watch_for_stop() as stop_asked,
    ):
        for clip in clips:
            if stop_asked():  # asked between clips: an exception within HDF5's or the pool's own code can get lost there
                raise KeyboardInterrupt
            if isinstance(clip, Problem):
                if strict:
                    raise DuaError(f"{clip}; without --strict it is skipped")
                skipped += 1
                tqdm.write(f"skipped {clip}", file=sys.stderr)
                continue
            dropped += clip.dropped
            if len(clip.joints_2d):
                writer.add(clip.name, clip.joints_2d, clip.joints_3d)
    print(f"wrote {path}: {writer.frames:,} frames of {writer.clips:,} clips")
    if dropped:
        print(f"  left out {dropped:,} frames: nobody in the image, or not wholly in front of the camera")
    if skipped:
        print(f"  skipped {skipped:,} that are damaged or inconsistent, named above")


def main() -> None:
    args = parse_args()
    name, splits = find_splits(args)
    refuse_existing([path_surreal(args.out, split) for split in splits], args.overwrite)
    for split, read in splits.items():
        convert(read(), name, path_surreal(args.out, split), args.strict)


if __name__ == "__main__":
    run_script(main)
