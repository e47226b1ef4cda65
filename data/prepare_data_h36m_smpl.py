r"""Make `data_3d_h36m_smpl.npz`, SMPL's joints beside Human3.6M's, which the pose converter is trained on.

    python data/prepare_data_h36m_smpl.py --from-json annotations --smpl_model SMPL_NEUTRAL.pkl \
        --joint_regressor J_regressor_h36m_correct.npy                     # SMPL fits, Human36M_subject*_smpl_param.json
    python data/prepare_data_h36m_smpl.py --from-npz joints.npz            # joints that somebody else has made

`data_3d_h36m.npz` must be there already (`data/prepare_data_h36m.py`): its frames are what the fits are laid beside and
compared with. `data/README.md` says where each source is obtained.
"""

import argparse
import math
import sys
from pathlib import Path

# Run as a script, Python looks for modules beside the script alone; `common` lies one folder up.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.start import run_script  # isort: skip  (before all else: see there)

from common.datasets.h36m import MAKE_3D, path_3d, path_smpl, subjects_of
from common.errors import DuaError
from common.files.arrays import load_arrays
from common.preparation.h36m_writer import write_smpl_3d
from common.preparation.smpl_fits import MAX_ERROR_MM, find_fits, read_fits
from common.preparation.smpl_model import load_body_model, load_joint_regressor
from common.preparation.smpl_sources import Fits, read_joint_file


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from-json",
        type=Path,
        metavar="DIR",
        help="folder with Human36M_subject*_smpl_param.json and Human36M_subject*_joint_3d.json; needs --smpl_model",
    )
    source.add_argument(
        "--from-npz",
        type=Path,
        metavar="FILE",
        help="'positions_3d', {subject: {action: (T, 24, 3)}} metres or millimetres in Human3.6M's world, of all frames",
    )
    source.add_argument("--from-npy", type=Path, metavar="FILE", help="the same dictionary, pickled into an .npy file")
    parser.add_argument(
        "--smpl_model",
        type=Path,
        metavar="PATH",
        help="SMPL's neutral model, a .pkl file or the folder of SMPL_NEUTRAL.pkl; needs the package smplx",
    )
    parser.add_argument(
        "--joint_regressor",
        type=Path,
        metavar="FILE",
        help=".npy, (17, 6890): Human3.6M's joints from SMPL's vertices. Without it fits that are somewhat wrong are not found: "
        "only knees, ankles, elbows and wrists are compared, and only with 75 mm as the bound",
    )
    parser.add_argument(
        "--max_error_mm",
        type=millimetres,
        default=MAX_ERROR_MM,
        metavar="MM",
        help="leave out fits whose 17 joints are further off in the mean; needs --joint_regressor (default: %(default)g)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="folder that holds data_3d_h36m.npz and gets data_3d_h36m_smpl.npz (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    args = parser.parse_args()
    if args.from_json is not None and args.smpl_model is None:
        parser.error("--from-json needs --smpl_model: the files hold SMPL's parameters, not joints")
    if args.from_json is None and (args.smpl_model is not None or args.joint_regressor is not None):
        parser.error("--smpl_model and --joint_regressor belong to --from-json: files of joints are not posed or compared again")
    if args.joint_regressor is None and args.max_error_mm != MAX_ERROR_MM:
        parser.error("--max_error_mm needs --joint_regressor: without it that error is not measured")
    return args


def millimetres(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no distance")
    return value


def read_source(args: argparse.Namespace) -> Fits:
    path = path_3d(args.out)
    h36m = subjects_of(load_arrays(path, MAKE_3D), "positions_3d", path)
    if args.from_json is None:
        return read_joint_file(args.from_npz or args.from_npy, h36m)
    find_fits(args.from_json)  # a wrong folder is told before the model is loaded
    regressor = load_joint_regressor(args.joint_regressor) if args.joint_regressor is not None else None
    return read_fits(args.from_json, h36m, load_body_model(args.smpl_model), regressor, args.max_error_mm)


def report(path: Path, fits: Fits, args: argparse.Namespace) -> None:
    sequences = sum(len(actions) for actions in fits.positions.values())
    print(f"wrote {path}: {len(fits.positions)} subjects, {sequences} sequences, {fits.frames:,} frames")
    print(f"  {fits.usable:,} frames have a usable fit, {fits.missing:,} have none")
    if args.from_json is not None:
        bound = f"more than {args.max_error_mm:g} mm off" if args.joint_regressor is not None else "grossly wrong"
        print(f"  {fits.dropped:,} fits are {bound} and were left out")
        if args.joint_regressor is None:
            print("  fits that are somewhat wrong were not looked for: that needs --joint_regressor")
    if fits.skipped:
        print(f"  skipped what data_3d_h36m.npz lacks: {', '.join(fits.skipped)}")


def main() -> None:
    args = parse_args()
    path = path_smpl(args.out)
    if path.exists() and not args.overwrite:
        raise DuaError(f"{path} exists already and was kept; replace it with --overwrite, or choose another folder with --out")
    # Everything is read before anything is written: a bad source leaves no new output behind.
    fits = read_source(args)
    report(write_smpl_3d(args.out, fits.positions), fits, args)


if __name__ == "__main__":
    run_script(main)
