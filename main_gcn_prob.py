"""SemGCN with DUA's uncertainty estimator, trained and tested on Human3.6M.

    python main_gcn_prob.py --data_dir data/demo --epochs 6      # open demo data (python data/prepare_data_demo.py)
    python main_gcn_prob.py --non_local --epochs 50              # Human3.6M, ground-truth 2D (data/README.md)
    python main_gcn_prob.py --keypoints cpn_ft_h36m_dbb          # Human3.6M, detected 2D
    python main_gcn_prob.py --evaluate checkpoint/gcn_prob/<run>     # test errors of a trained run
    python main_gcn_prob.py --resume checkpoint/gcn_prob/<run>       # go on with a run that was stopped

Network: Zhao et al., CVPR 2019. Uncertainty: Manesco et al., Sensors 2023, 23(17), 7312, here in domain.
Subjects S1 S5 S6 S7 S8 train, a tenth of their clips is held out and chooses the best epoch, S9 and S11 test.
"""

import torch
from torch.nn import functional as F

from common.arguments import parse_arguments, training_parser
from common.batches import ShuffledBatches
from common.errors import run_script
from common.evaluation import validation_errors
from common.experiment import Experiment
from common.h36m_dataset import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m
from common.losses import uncertainty_loss
from common.metrics import mpjpe
from common.networks import add_network_arguments, lifter_description, uncertainty_description
from common.poses import split_validation


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/gcn_prob", epochs=50)
    add_network_arguments(parser, "semgcn")
    parser.add_argument("--uncertainty_weight", type=float, default=0.1, help="of the uncertainty loss (default: %(default)s)")
    args = parse_arguments(parser)

    run = Experiment("gcn_prob", args, network="semgcn")
    # The test subjects are read now, so that a missing file is known before hours of training; only `report` sees them.
    test = {"h36m, S9 and S11": load_h36m(args.data_dir, args.keypoints, TEST_SUBJECTS, args.actions, args.downsample)}
    if args.evaluate:
        run.report(test)
        return

    poses = load_h36m(args.data_dir, args.keypoints, TRAIN_SUBJECTS, args.actions, args.downsample)
    train, validation = (split.to(run.device) for split in split_validation(poses))
    batches = ShuffledBatches(train.inputs_2d, train.targets_3d, batch_size=args.batch_size, seed=args.seed)

    lifter = lifter_description(args, "semgcn")
    networks = run.networks(lifter=lifter, uncertainty=uncertainty_description(lifter))

    def loss(batch: tuple[torch.Tensor, ...], step: int) -> dict[str, torch.Tensor]:
        inputs_2d, targets_3d = batch  # (B, 16, 2), (B, 16, 3)
        poses_3d, features = networks["lifter"](inputs_2d)
        pose = F.mse_loss(poses_3d[:, 1:], targets_3d[:, 1:])
        uncertainty = uncertainty_loss(networks["uncertainty"](features), poses_3d, targets_3d)
        return {
            "loss": pose + args.uncertainty_weight * uncertainty,
            "pose_loss": pose,
            "uncertainty_loss": uncertainty,
            "mpjpe": mpjpe(poses_3d, targets_3d).mean(),
        }

    def validate() -> dict[str, float]:
        return validation_errors(networks, validation, run.device)

    run.train(batches, loss, validate, skeleton="h36m", source="h36m", train=len(train), validation=len(validation))
    run.report(test)


if __name__ == "__main__":
    run_script(main)
