"""DUA with Human3.6M as source and SURREAL as target: labels of Human3.6M, 2D joints of both.

    python train_h36m_dan.py --epochs 200 --checkpoint 'checkpoint/h36_dua/'
    python train_h36m_dan.py --data_dir data/demo --epochs 6             # open demo data
    python train_h36m_dan.py --no_converter --no_uncertainty --no_domain # no adaptation
    python train_h36m_dan.py --domain_weight 0                           # control: target batches, no adversary
    python train_h36m_dan.py --evaluate checkpoint/h36m_dua              # its newest run

Manesco et al., Sensors 2023, 23(17), 7312. The network learns Human3.6M's skeleton; SURREAL's labels pass through the pose
converter before errors are counted, and the error against the raw labels is printed beside. Nothing in training sees a label
of SURREAL: `open_surreal_2d` does not open them, and the best epoch is chosen on Human3.6M. `--actions`
chooses among Human3.6M's, of the source.
"""

from common.start import run_script  # isort: skip  (before all else: see there)

from common.adaptation.beyond import check_adaptation
from common.adaptation.converter import find_or_train_converter, tests_of_surreal
from common.adaptation.dua import train_adapted
from common.adaptation.options import add_dua_arguments
from common.compute.distributed import run_together
from common.datasets.h36m import TRAIN_SUBJECTS, load_h36m
from common.datasets.poses import UnlabelledPoses
from common.datasets.streamed import Streamed
from common.datasets.surreal_file import DETECTOR
from common.datasets.surreal_stream import open_surreal_2d, open_surreal_test
from common.errors import DuaError
from common.geometry.joints_in_2d import BackToInputs, JointsIn2D, as_they_are
from common.training.arguments import parse_arguments, training_parser
from common.training.experiment import Experiment
from common.training.networks import add_network_arguments


def main() -> None:
    parser = training_parser(__doc__, checkpoint="checkpoint/h36m_dua", epochs=200, surreal=True, adapts=True)
    add_network_arguments(parser)
    add_dua_arguments(parser)
    args = parse_arguments(parser)

    check_adaptation(args, source="h36m")
    of_surreal = {"keypoints"} if args.keypoints in ("gt", DETECTOR) else set()
    for name in ("actions", "keypoints"):
        if args.evaluate and name in args.given - of_surreal:
            raise DuaError(
                f"--{name} chooses what is learnt of Human3.6M, and the test is SURREAL's; leave it out with --evaluate"
                + (f", or give gt or {DETECTOR}, which are SURREAL's own" if name == "keypoints" else "")
            )
    run = Experiment("h36m_dua", args, network=None)
    # Test labels are read now, so that a missing file is known before hours of training; only `report` sees them.
    raw = open_surreal_test(args.data_dir, args.smpl_shoulders, args.downsample, keypoints=args.keypoints)
    converter = None
    if args.converter_on:
        found = run.stored("converter") or find_or_train_converter(args.converter, "h36m", args)
        converter = run.freeze("converter", *found)
    tests = tests_of_surreal(raw, converter)
    if args.evaluate:
        run.report(tests)
        return

    poses = load_h36m(args.data_dir, args.keypoints, TRAIN_SUBJECTS, args.actions, args.downsample)

    def load_target() -> UnlabelledPoses | Streamed[UnlabelledPoses]:
        return open_surreal_2d(
            args.data_dir, "train", args.smpl_shoulders, args.downsample, stream=args.stream, keypoints=args.keypoints
        )

    in_2d: JointsIn2D = as_they_are
    if converter is not None and (args.reproject or args.target_joints):
        in_2d = BackToInputs.of(converter)  # SURREAL's 2D has SMPL's joints
    oracle_test = next(iter(tests.values())) if args.select == "target" else None
    train_adapted(run, args, poses, load_target, oracle_test, skeleton="h36m", target="surreal", in_2d=in_2d)
    run.report(tests)


if __name__ == "__main__":
    run_script(main, run_together)
