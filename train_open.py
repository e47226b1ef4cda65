"""A lifting network for anybody before any camera, trained in a detector's view of open motion capture.

    python data/prepare_data_people.py cmu.zip data/demo/motion.h5 --held_out 06 08 --out data/people
    python train_open.py --data_dir data/people --epochs 200                                   # Martinez
    python train_open.py --data_dir data/people --epochs 200 --network semgcn
    python train_open.py --data_dir data/people --keypoints gt --cameras h36m --align --scale none  # as if all were Human3.6M
    python train_open.py --evaluate checkpoint/open_runs --test_dirs data/people_bandai             # on other people

Bodies are drawn anew, put before another camera, and seen with a detector's errors in every batch (`common.adaptation.any_camera`).
COCO's keypoints become the network's joints by the rule of `predict.py`; labels are Human3.6M's. Pictures are turned to the hip and
brought to one size, so that a network needs no focal length; half of the views are seen through an assumed one. People who are held
out choose the epoch and calibrate the uncertainty. Networks: Martinez et al., ICCV 2017; Zhao et al., CVPR 2019; estimator: Manesco
et al., Sensors 2023.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

from collections.abc import Mapping

from torch import Tensor

from common.adaptation.any_camera import AnyCamera, add_filming_arguments
from common.adaptation.augment import SeenAnew
from common.adaptation.to_detector import fit_to_detector
from common.compute.distributed import run_together
from common.datasets.batches import ShuffledBatches
from common.datasets.poses import Poses
from common.datasets.surreal_file import DETECTOR
from common.errors import DuaError
from common.evaluation.losses import UNCERTAINTY_LOSSES
from common.evaluation.metrics import joint_errors
from common.mocap.filming import films, focal_span_of
from common.mocap.people import People, load_people
from common.training.arguments import options_of, parse_arguments, training_parser
from common.training.experiment import Experiment
from common.training.in_domain import train_on_batches
from common.training.networks import add_network_arguments


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/open_runs", epochs=200)
    parser.set_defaults(data_dir="data/people", keypoints="detector", schedule="fast")
    add_network_arguments(parser)
    add_filming_arguments(parser)
    parser.add_argument("--uncertainty_weight", type=float, default=0.1, help="of the uncertainty loss (default: %(default)s)")
    parser.add_argument("--test_dirs", nargs="*", default=[], metavar="DIR", help="folders of further people to test on")
    args = parse_arguments(parser, unread=("actions", "downsample"))
    useless = [f"--{name}" for name in ("keypoints", *options_of(add_filming_arguments)) if name in args.given]
    if args.evaluate and useless:
        raise DuaError(
            f"{', '.join(useless)}: of training; tests are by any camera, in a detector's view, with --evaluate; leave it out"
        )

    run = Experiment("open", args, network=None)
    people = load_people(args.data_dir)
    held_out = people.select(("validation",))
    tested = {"held-out people": held_out}
    for other in map(load_people, args.test_dirs):
        if other.name in tested:
            raise DuaError(f"--test_dirs: two folders are called '{other.name}', as their errors would be; rename one")
        tested[other.name] = other
    if args.evaluate:
        run.report(filmed(tested), keypoints=DETECTOR)
        return

    view = AnyCamera.of(args)
    train = people.select(("train",))
    tensors = [tensor.to(run.device) for tensor in (train.joints_3d, train.points_3d)]
    batches = SeenAnew(ShuffledBatches(*tensors, batch_size=args.batch_size, seed=args.seed), view, args.seed)
    print(batches.describe())
    run.freeze("to_detector", *(run.stored("to_detector") or fit_to_detector(train)))

    def objective(poses_3d: Tensor, targets_3d: Tensor, estimated: Tensor) -> dict[str, Tensor]:
        pose = joint_errors(poses_3d, targets_3d)[:, 1:].mean()  # the distance itself: L1 of coordinates depends on the axes
        uncertainty = UNCERTAINTY_LOSSES[args.uncertainty_loss](estimated, poses_3d, targets_3d)
        return {"loss": pose + args.uncertainty_weight * uncertainty, "pose_loss": pose, "uncertainty_loss": uncertainty}

    lenses = focal_span_of(args.cameras)
    validation = None if args.select == "last" else view.validation(held_out)
    train_on_batches(run, args, args.network, batches, validation, "h36m", people.name, objective, lenses, train=len(train))
    run.report(filmed(tested), keypoints=DETECTOR)


def filmed(tested: Mapping[str, People]) -> dict[str, Poses]:
    """{what is tested on: people before any camera}, each with the true focal length and without."""
    tests = {}
    for name, people in tested.items():
        tests[f"{name}, any camera"] = films(people, seed=0)
        tests[f"{name}, any camera, lens unknown"] = films(people, seed=0, lens_known=False)
    return tests


if __name__ == "__main__":
    run_script(main, run_together)
