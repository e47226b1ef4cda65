"""SURREAL as source: in domain, or DUA with Human3.6M as target.

    python train_surreal.py                                                    # in domain: SURREAL, trained and tested
    python train_surreal.py  --epochs 200 --checkpoint 'checkpoint/sur_dua/'   # DUA: SURREAL -> Human3.6M
    python train_surreal.py --dua --data_dir data/demo --epochs 6              # DUA on open demo data
    python train_surreal.py --dua --no_converter --no_uncertainty --no_domain  # no adaptation
    python train_surreal.py --dua --domain_weight 0                            # control: target batches, no adversary
    python train_surreal.py --data_dir data/large                              # more poses than fit into memory: --stream
    python train_surreal.py --evaluate checkpoint/sur_dua                      # its newest run

`--dua` and `--no_dua` say which experiment it is; without either, a checkpoint folder with 'dua' in its name means DUA.

In domain: the loss of main_prob.py (main_gcn_prob.py's with --network semgcn) on SMPL's skeleton. DUA (Manesco et al., Sensors
2023, 23(17), 7312): SURREAL's labels pass through the frozen pose converter before the loss, so the network learns
Human3.6M's skeleton. Nothing in training sees a 3D label of Human3.6M but the converter's pairs, which are of its training
subjects: `load_h36m_2d` does not open the file of labels, and the best epoch is chosen on SURREAL.
In DUA `--actions` chooses among Human3.6M's, of target and test.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

from torch import Tensor
from torch.nn import functional as F

from common.adaptation.beyond import check_adaptation
from common.adaptation.converter import convert_labels, find_or_train_converter
from common.adaptation.dua import train_adapted
from common.adaptation.options import add_dua_arguments, decide_dua
from common.compute.distributed import run_together
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m, load_h36m_2d
from common.datasets.poses import UnlabelledPoses
from common.datasets.surreal_stream import open_surreal, open_surreal_test
from common.evaluation.losses import UNCERTAINTY_LOSSES, UNCERTAINTY_WEIGHTS
from common.training.arguments import Arguments, parse_arguments, training_parser
from common.training.experiment import Experiment
from common.training.in_domain import train_in_domain
from common.training.networks import add_network_arguments


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/surreal", epochs=200, surreal=True, adapts=True)
    add_network_arguments(parser)
    add_dua_arguments(parser, in_domain=True)
    args = parse_arguments(parser)
    if decide_dua(args):
        adapt(args)
    else:
        in_domain(args)


def in_domain(args: Arguments) -> None:
    """Lifting network + uncertainty on SURREAL, SMPL's skeleton, no adaptation."""
    run = Experiment("surreal_prob", args, network=None)
    test = {"surreal": open_surreal_test(args.data_dir, args.smpl_shoulders, args.downsample, args.actions, args.keypoints)}
    if args.evaluate:
        run.report(test)
        return
    pose_loss = F.l1_loss if args.network == "martinez" else F.mse_loss
    weight = UNCERTAINTY_WEIGHTS["in domain"] if args.uncertainty_weight is None else args.uncertainty_weight

    def objective(poses_3d: Tensor, targets_3d: Tensor, estimated: Tensor) -> dict[str, Tensor]:
        pose = pose_loss(poses_3d[:, 1:], targets_3d[:, 1:])
        uncertainty = UNCERTAINTY_LOSSES[args.uncertainty_loss](estimated, poses_3d, targets_3d)
        return {"loss": pose + weight * uncertainty, "pose_loss": pose, "uncertainty_loss": uncertainty}

    poses = open_surreal(
        args.data_dir, "train", args.smpl_shoulders, args.downsample, args.actions, args.stream, keypoints=args.keypoints
    )
    train_in_domain(run, args, args.network, poses, skeleton="smpl", objective=objective)
    run.report(test)


def adapt(args: Arguments) -> None:
    """DUA: labels of SURREAL, in Human3.6M's skeleton; 2D joints of both."""
    check_adaptation(args, source="surreal")
    run = Experiment("surreal_dua", args, network=None)
    # Test labels are read now, so that a missing file is known before hours of training; only `report` sees them.
    tests = {"h36m, S9 and S11": load_h36m(args.data_dir, args.keypoints, TEST_SUBJECTS, args.actions, args.downsample)}
    converter = None
    if args.converter_on:
        found = run.stored("converter") or find_or_train_converter(args.converter, "h36m", args)
        converter = run.freeze("converter", *found)
    if args.evaluate:
        run.report(tests)
        return

    poses = open_surreal(
        args.data_dir, "train", args.smpl_shoulders, args.downsample, stream=args.stream, keypoints=args.keypoints
    )
    poses = convert_labels(poses, converter) if converter else poses

    def load_target() -> UnlabelledPoses:
        return load_h36m_2d(args.data_dir, args.keypoints, TRAIN_SUBJECTS, args.actions, args.downsample)

    skeleton = "h36m" if converter else "smpl"
    oracle_test = next(iter(tests.values())) if args.select == "target" else None
    train_adapted(run, args, poses, load_target, oracle_test, skeleton=skeleton, target="h36m")
    run.report(tests)


if __name__ == "__main__":
    run_script(main, run_together)
