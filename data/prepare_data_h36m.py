"""Make `data_3d_h36m.npz` and `data_2d_h36m_gt.npz` from Human3.6M, in whichever of three forms you have it.

    python data/prepare_data_h36m.py --from-archive h36m.zip               # 3d-pose-baseline's archive
    python data/prepare_data_h36m.py --from-cdf /path/to/human36m          # Human3.6M's own .cdf files
    python data/prepare_data_h36m.py --from-mat /path/to/human36m          # the same, converted to .mat by MATLAB

The three give the same files. Stacked-hourglass detections, if you have them, become `data_2d_h36m_sh_pt_mpii.npz` and
`data_2d_h36m_sh_ft_h36m.npz`:

    python data/prepare_data_h36m.py --from-archive h36m.zip --detections
    python data/prepare_data_h36m.py --detections stacked_hourglass_fined_tuned_240.tar.gz

`data/README.md` says where each of them is obtained.
"""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

# Run as a script, Python looks for modules beside the script alone; `common` lies one folder up.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.start import run_script  # isort: skip  (before all else: see there)

from common.datasets.h36m import path_2d, path_3d
from common.errors import DuaError
from common.files.sets import written_together
from common.geometry.skeleton import JOINTS_LEFT, JOINTS_RIGHT, NUM_JOINTS
from common.preparation.h5_archive import H5Archive
from common.preparation.h36m_detections import detections_in, read_detections
from common.preparation.h36m_names import SUBJECTS, clips_expected
from common.preparation.h36m_sources import read_archive, read_cdf, read_mat
from common.preparation.h36m_writer import (
    Positions2D,
    Positions3D,
    write_ground_truth_2d,
    write_positions_2d,
    write_positions_3d,
)

# As VideoPose3D describes joints: how many, and the (left, right) places that mirror each other.
_METADATA_16 = {
    "layout_name": "h36m",
    "num_joints": NUM_JOINTS,
    "keypoints_symmetry": [list(JOINTS_LEFT), list(JOINTS_RIGHT)],
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--from-archive", type=Path, metavar="ZIP", help="3d-pose-baseline's h36m.zip; read where it lies, not extracted"
    )
    source.add_argument(
        "--from-mat",
        "--from-source",
        type=Path,
        metavar="DIR",
        help="folder with S*/MyPoseFeatures/D3_Positions/*.cdf.mat, converted from the .cdf files by MATLAB",
    )
    source.add_argument(
        "--from-cdf",
        "--from-source-cdf",
        type=Path,
        metavar="DIR",
        help="folder with S*/MyPoseFeatures/D3_Positions/*.cdf, as Human3.6M's archives unpack; needs the package cdflib",
    )
    parser.add_argument(
        "--detections",
        type=Path,
        nargs="?",
        const=True,
        metavar="ARCHIVE",
        help="convert the stacked-hourglass detections in ARCHIVE (.zip or .tar.gz), without ARCHIVE those in --from-archive; "
        "with ARCHIVE this may stand alone",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parent,
        metavar="DIR",
        help="where the .npz files go (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-partial", action="store_true", help="take a source that lacks sequences or subjects, and leave out what is none"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    args = parser.parse_args()
    if args.detections is True and args.from_archive is None:
        parser.error("--detections without ARCHIVE takes those in --from-archive, which is not given; write --detections ARCHIVE")
    args.has_source = any(source is not None for source in (args.from_archive, args.from_mat, args.from_cdf))
    if not args.has_source and args.detections is None:
        parser.error("give one source: --from-archive, --from-mat or --from-cdf (data/README.md says where to get it)")
    return args


def read_source(args: argparse.Namespace, archive: H5Archive | None) -> Positions3D:
    """{subject: {action: (T, 32, 3)}}, metres in the world, from the one source that the arguments name."""
    if archive is not None:
        return read_archive(archive, args.allow_partial)
    if args.from_mat is not None:
        return read_mat(args.from_mat, args.allow_partial)
    return read_cdf(args.from_cdf, args.allow_partial)


def refuse_existing(paths: list[Path], overwrite: bool) -> None:
    for path in paths:
        if path.exists() and not overwrite:
            raise DuaError(
                f"{path} exists already and was kept; replace it with --overwrite, or choose another folder with --out"
            )


def report(path: Path, positions: Positions3D | Positions2D, what: str) -> None:
    """Say what was written, and which subjects lack sequences."""
    counts = {subject: len(positions.get(subject, {})) for subject in SUBJECTS}
    print(f"wrote {path}: {what} of {len(positions)} subjects, {sum(counts.values())} sequences")

    def counted(subjects: list[str]) -> str:
        return ", ".join(f"{subject} {counts[subject]} of {clips_expected(subject)}" for subject in subjects)

    if fewer := [subject for subject in SUBJECTS if counts[subject] < clips_expected(subject)]:
        print(f"  the source is partial: {counted(fewer)}")
    if more := [subject for subject in SUBJECTS if counts[subject] > clips_expected(subject)]:
        print(f"  the source has more than Human3.6M: {counted(more)}")


def main() -> None:
    args = parse_args()
    with ExitStack() as stack:
        archive = stack.enter_context(H5Archive(args.from_archive)) if args.from_archive is not None else None
        detections = archive if args.detections is True else None
        if isinstance(args.detections, Path):
            detections = stack.enter_context(H5Archive(args.detections))
        to_read = [(kind, detections) for kind in detections_in(detections)] if detections is not None else []
        outputs = [path_2d(args.out, kind) for kind, _ in to_read]
        if args.has_source:
            outputs += [path_3d(args.out), path_2d(args.out, "gt")]
        refuse_existing(outputs, args.overwrite)
        # Everything is read before anything is written: a bad file leaves no new output behind.
        positions_3d = read_source(args, archive) if args.has_source else {}
        positions_2d = {kind: read_detections(source, kind, args.allow_partial) for kind, source in to_read}
    written: list[tuple[Path, Positions3D | Positions2D, str]] = []
    with written_together(args.out) as folder:  # projections never lie beside another source's joints
        if positions_3d:
            written.append((write_positions_3d(folder, positions_3d), positions_3d, "3D joints"))
            written.append((write_ground_truth_2d(folder, positions_3d), positions_3d, "their projections into 4 cameras"))
        for kind, positions in positions_2d.items():
            path = write_positions_2d(folder, kind, positions, _METADATA_16)
            written.append((path, positions, "2D detections in 4 cameras"))
    for path, content, what in written:
        report(args.out / path.name, content, what)


if __name__ == "__main__":
    run_script(main)
