"""Martinez's lifting network with DUA's uncertainty estimator, trained and tested on Human3.6M.

    python main_prob.py --data_dir data/demo --epochs 6      # open demo data (python data/prepare_data_demo.py)
    python main_prob.py                                      # Human3.6M, ground-truth 2D (data/README.md)
    python main_prob.py --keypoints cpn_ft_h36m_dbb          # Human3.6M, detected 2D
    python main_prob.py --evaluate checkpoint/prob           # test errors of the newest run in there, or of one: checkpoint/prob/<run>
    python main_prob.py --resume checkpoint/prob             # go on with it, if it was stopped

Network: Martinez et al., ICCV 2017. Uncertainty: Manesco et al., Sensors 2023, 23(17), 7312, here in domain.
Subjects S1 S5 S6 S7 S8 train, a tenth of their clips is held out and chooses the best epoch, S9 and S11 test.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

from torch import Tensor
from torch.nn import functional as F

from common.compute.distributed import run_together
from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m_parts
from common.evaluation.losses import UNCERTAINTY_LOSSES
from common.training.arguments import parse_arguments, training_parser
from common.training.experiment import Experiment
from common.training.in_domain import train_in_domain
from common.training.networks import add_network_arguments


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/prob", epochs=200)
    add_network_arguments(parser, "martinez")
    parser.add_argument("--uncertainty_weight", type=float, default=0.1, help="of the uncertainty loss (default: %(default)s)")
    args = parse_arguments(parser)

    run = Experiment("prob", args, network="martinez")
    # The test subjects are read now, so that a missing file is known before hours of training; only `report` sees them.
    parts = (TEST_SUBJECTS,) if args.evaluate else (TEST_SUBJECTS, TRAIN_SUBJECTS)
    test_poses, *train_poses = load_h36m_parts(args.data_dir, args.keypoints, parts, args.actions, args.downsample)
    test = {"h36m, S9 and S11": test_poses}
    if args.evaluate:
        run.report(test)
        return

    def objective(poses_3d: Tensor, targets_3d: Tensor, estimated: Tensor) -> dict[str, Tensor]:
        pose = F.l1_loss(poses_3d[:, 1:], targets_3d[:, 1:])  # the hip is the origin, there is nothing to learn of it
        uncertainty = UNCERTAINTY_LOSSES[args.uncertainty_loss](estimated, poses_3d, targets_3d)
        loss = pose + args.uncertainty_weight * uncertainty
        return {"loss": loss, "pose_loss": pose, "uncertainty_loss": uncertainty}

    train_in_domain(run, args, "martinez", train_poses[0], skeleton="h36m", objective=objective)
    run.report(test)


if __name__ == "__main__":
    run_script(main, run_together)
