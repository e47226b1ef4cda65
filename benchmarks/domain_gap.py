"""How far apart the two domains of a data set are, beside what is known of the real ones.

    python benchmarks/domain_gap.py --data_dir data/demo --converter checkpoint/conversion/<run>

Prints, for the training poses of both domains: where bodies stand and how large they are seen, cameras, lengths of limbs, how
people move; how far the poses themselves are apart, which is what two captures of motion add to the gap; the distance between
the two skeletons, joint by joint, before and after conversion; and how far the source's 2D is from the target's, as it is and as
each method that changes it makes it. The last reads no label of the target, so a method may be chosen by it.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import torch
from torch import Tensor

from common.adaptation.converter import convert_labels, load_converter
from common.adaptation.domain_gap import clip_numbers, misalignment, pose_gap, quantities
from common.adaptation.training_views import adapted_batches
from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m
from common.datasets.poses import Poses, split_validation
from common.datasets.smpl import load_pairs
from common.datasets.surreal import load_surreal
from common.evaluation.losses import mkmmd
from common.evaluation.tables import as_text
from common.geometry.joints_in_2d import BackToInputs, JointsIn2D, as_they_are
from common.geometry.skeleton import JOINT_NAMES
from common.mocap.demo import build_demo_if_missing

# The real data sets, as far as figures are published. SURREAL: its public renderer (the camera's distance is drawn about 8 m, of
# which the first frame's pelvis takes about 1; level; the pelvis in the middle) and SMPL's mean rest pose (Loper et al. 2015).
# Human3.6M: extrinsics published with VideoPose3D, and the offsets of S1 published with Martinez, Black, Romero, CVPR 2017; the
# recorded space is 4 x 3 m in the middle of four cameras (Ionescu et al. 2014).
_KNOWN = {
    "root depth, m": ("3 to 7: a room of 4 x 3 m", "N(7, 1)"),
    "camera pitch, deg down": ("the published extrinsics, used here", "0: level"),
    "thigh, mm": ("443 (S1)", "377 (SMPL's mean)"),
    "shin, mm": ("454 (S1)", "401 (SMPL's mean)"),
    "upper arm, mm": ("279 (S1)", "262 (SMPL's mean)"),
    "forearm, mm": ("252 (S1)", "249 (SMPL's mean)"),
    "hip to hip, mm": ("266 (S1)", "140 (SMPL's mean)"),
}
_SAMPLE = 2000
_METHODS: dict[str, tuple[list[str], bool, bool]] = {  # --align, --augment, --target_joints
    "as they are": ([], False, False),
    "canonical": (["canonical"], False, False),
    "gpa": (["gpa"], False, False),
    "augment": ([], True, False),
    "target joints": ([], False, True),
    "gpa + augment": (["gpa"], True, False),
    "canonical + augment": (["canonical"], True, False),
    "canonical + gpa": (["canonical", "gpa"], False, False),
    "canonical + gpa + augment": (["canonical", "gpa"], True, False),
    "canonical + gpa + augment + target joints": (["canonical", "gpa"], True, True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", default="data/demo", help="folder with both domains (default: %(default)s)")
    parser.add_argument(
        "--converter",
        required=True,
        help="checkpoint or run folder of conversion.py --format h36m, or a folder of runs for its newest",
    )
    args = parser.parse_args()
    print(report(args.data_dir, args.converter))


def report(data_dir: str, converter_file: str | Path) -> str:
    """The whole report as text."""
    converter, _ = load_converter(converter_file, "h36m", "shoulder")
    build_demo_if_missing(data_dir)
    h36m = load_h36m(data_dir, subjects=TRAIN_SUBJECTS, downsample=5)
    surreal = load_surreal(data_dir, "train", downsample=5)
    parts = [
        "Training poses of both domains: mean (5 % to 95 %); 2D in screen coordinates, half a picture's width being 1\n",
        as_text(("", "h36m domain", "surreal domain", "real Human3.6M", "real SURREAL"), _distributions(h36m, surreal)),
        "\nHow far the poses themselves are apart: MK-MMD x 1000 of the directions of bones, seen from the trunk, SURREAL's converted to",
        "Human3.6M's skeleton, so that neither places, cameras, sizes nor skeletons count. Half of the clips against half of the clips;",
        "mean (least to most) of ten draws. Within a domain it is chance, and what its clips differ; the last row is about 0 where both",
        "domains are of one capture\n",
        as_text(("clips", "MK-MMD x 1000"), _pose_gap(h36m, surreal, converter)),
        "\nDistance between the two skeletons of one body, mm, all pairs of the training subjects\n",
        as_text(("joint", "before", "after conversion"), _misalignment(data_dir, converter)),
        "\nHow far the source's 2D is from the target's: MK-MMD x 1000 of 2D poses. No label of the target is read but the converter's",
        "pairs: where SURREAL is projected anew, it is in the skeleton that the network learns\n",
        as_text(("source poses", "surreal -> h36m", "h36m -> surreal"), _distances(h36m, surreal, converter)),
    ]
    return "\n".join(parts)


def _distributions(h36m: Poses, surreal: Poses) -> list[tuple[str, ...]]:
    columns = [_quantities(poses) for poses in (h36m, surreal)]
    return [(name, columns[0][name], columns[1][name], *_KNOWN.get(name, ("-", "-"))) for name in columns[0]]


def _quantities(poses: Poses) -> dict[str, str]:
    return {name: _spread(value, 0 if "mm" in name else 1 if "deg" in name else 2) for name, value in quantities(poses).items()}


def _spread(values: Tensor, digits: int) -> str:
    values = values[:: 1 + len(values) // 1_000_000].double().round(decimals=6) + 0.0  # torch.quantile takes no more; no -0
    low, high = torch.quantile(values, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _pose_gap(h36m: Poses, surreal: Poses, converter: torch.nn.Module) -> list[tuple[str, ...]]:
    if min(len({sequence.clip for sequence in poses.sequences}) for poses in (h36m, surreal)) < 2:
        return [("a domain has but one clip", "-")]
    labels = h36m.targets_3d, convert_labels(surreal, converter).targets_3d
    gap = pose_gap(*labels, clip_numbers(h36m), clip_numbers(surreal))
    rows = {
        "h36m domain against surreal domain": gap.between,
        "within the h36m domain": gap.within_a,
        "within the surreal domain": gap.within_b,
        "between, less the mean of the two within": gap.added,
    }
    return [(name, f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})") for name, values in rows.items()]


def _misalignment(data_dir: str, converter: torch.nn.Module) -> list[tuple[str, ...]]:
    before, after = misalignment(load_pairs(data_dir), converter)
    rows = [(name, f"{b:.1f}", f"{a:.1f}") for name, b, a in zip(JOINT_NAMES, before.tolist(), after.tolist(), strict=True)]
    return [*rows, ("mean", f"{before.mean():.1f}", f"{after.mean():.1f}")]


def _distances(h36m: Poses, surreal: Poses, converter: torch.nn.Module) -> list[tuple[str, ...]]:
    directions = ((convert_labels(surreal, converter), h36m, as_they_are), (h36m, surreal, BackToInputs.of(converter)))
    return [
        (name, *(f"{1000 * _distance(source, target, in_2d, *method):.1f}" for source, target, in_2d in directions))
        for name, method in _METHODS.items()
    ]


def _distance(source: Poses, target: Poses, in_2d: JointsIn2D, align: list[str], augment: bool, target_joints: bool) -> float:
    """MK-MMD between a batch of source poses, as training with these options sees them, and one of the target's 2D.

    Args:
        in_2d: the source's poses to those joints of theirs that the target's 2D has.
    """
    train, validation = split_validation(source)
    size = min(_SAMPLE, len(train), len(target))
    options = argparse.Namespace(
        align=align, augment=augment, target_joints=target_joints, domain_on=True, batch_size=size, seed=0
    )
    batches, *_ = adapted_batches(options, train, validation, target.unlabelled, torch.device("cpu"), in_2d=in_2d)
    inputs_s, _, inputs_t = next(batches.epoch(0))
    # One scale for all methods: the mean squared distance between 2D poses of the target as they are.
    whole = target.inputs_2d[:: 1 + len(target) // _SAMPLE].flatten(1)
    return float(mkmmd(inputs_s.flatten(1), inputs_t.flatten(1), width=torch.pdist(whole).square().mean()))


if __name__ == "__main__":
    run_script(main)
