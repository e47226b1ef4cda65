"""DUA's options, and which of its two experiments `train_surreal.py` runs."""

import argparse
from pathlib import Path

from common.adaptation.beyond import add_adaptation_arguments
from common.datasets.surreal_file import DETECTOR
from common.errors import DuaError
from common.training.arguments import Arguments, options_of
from common.training.checkpoint import BEST, LAST, checkpoint_file, load_checkpoint


def add_dua_arguments(parser: argparse.ArgumentParser, in_domain: bool = False) -> None:
    """Options of DUA's three modules; each switches off by itself. With `in_domain`, `--dua` and `--no_dua` as well."""
    group = parser.add_argument_group("DUA")
    if in_domain:
        which = group.add_mutually_exclusive_group()
        which.add_argument("--dua", dest="dua", action="store_true", default=None, help="adapt to the target data set")
        which.add_argument("--no_dua", dest="dua", action="store_false", default=None, help="train and test in domain")
    group.add_argument("--no_converter", dest="converter_on", action="store_false", help="without the pose converter")
    group.add_argument("--no_uncertainty", dest="uncertainty_on", action="store_false", help="without the uncertainty estimator")
    group.add_argument(
        "--no_domain", dest="domain_on", action="store_false", help="without the domain classifier and target batches"
    )
    group.add_argument(
        "--converter",
        metavar="FILE",
        help="checkpoint of conversion.py --format h36m, its run folder, or a folder of such runs for the newest; one that failed its own check "
        "is taken only if it is named (default: the newest in checkpoint/; if there is none, one is trained)",
    )
    in_words = "0.001 in DUA, 0.1 in domain" if in_domain else "0.001"
    group.add_argument("--uncertainty_weight", type=float, default=None, help=f"of the uncertainty loss (default: {in_words})")
    group.add_argument(
        "--domain_weight",
        type=float,
        default=0.001,
        help="of the domain loss; 0 is a control: target batches still shape BatchNorm's statistics (default: %(default)s)",
    )
    group.add_argument(
        "--domain_of",
        choices=("poses", "features"),
        default="poses",
        help="what the domain classifier tells apart: predicted poses, as published, or the features before the last layer (default: poses)",
    )
    group.add_argument("--domain_hid_dim", type=int, default=128, help="width of the domain classifier (default: %(default)s)")
    group.add_argument(
        "--grl",
        choices=("warm", "constant"),
        default="warm",
        help="reversed gradient: warm start, or 1 throughout (default: warm)",
    )
    group.add_argument("--grl_alpha", type=float, default=1.0, help="steepness of the warm start (default: %(default)s)")
    group.add_argument("--grl_steps", type=int, default=1000, help="scale of the warm start in steps (default: %(default)s)")
    group.add_argument(
        "--domain_bn",
        action="store_true",
        help="BatchNorm statistics of each domain apart; tests on the target use the target's (default: one set, fed by both in turn)",
    )
    group.add_argument(
        "--smpl_shoulders",
        choices=("shoulder", "collar"),
        default="shoulder",
        help="SMPL joints that count as shoulders; the published code takes the collars (default: %(default)s)",
    )
    add_adaptation_arguments(parser)


def _only_in_dua() -> list[str]:
    shared = ("smpl_shoulders", "uncertainty_weight")
    return ["keypoints", *(name for name in options_of(add_dua_arguments) if name not in shared)]


def decide_dua(args: Arguments) -> bool:
    """Which of its two experiments `train_surreal.py` runs; says so, and why, in the first line printed."""
    given = args.resume or args.evaluate
    if given:
        experiment = load_checkpoint(checkpoint_file(given, LAST if args.resume else BEST))["experiment"]
        if args.dua is not None and args.dua != (experiment == "surreal_dua"):
            raise DuaError(f"{given} is of experiment '{experiment}': leave out {'--dua' if args.dua else '--no_dua'}")
        args.dua, why = experiment == "surreal_dua", f"{given} is of experiment '{experiment}'"
    elif args.dua is not None:
        why = f"{'--dua' if args.dua else '--no_dua'} was given"
    else:
        folder = Path(args.checkpoint).name
        args.dua = "dua" in folder.lower()
        why = f"neither --dua nor --no_dua was given, and the checkpoint folder '{folder}' {'has' if args.dua else 'lacks'} 'dua' in its name"
    useless = [name for name in _only_in_dua() if name in args.given]
    if "keypoints" in useless and args.keypoints == DETECTOR:  # SURREAL's own files can have a detector's 2D
        useless.remove("keypoints")
    useless += ["select target"] if args.select == "target" else []
    if not args.dua and useless:
        names = ", ".join(f"--no_{name.removesuffix('_on')}" if name.endswith("_on") else f"--{name}" for name in useless)
        raise DuaError(f"{names}: of no use in domain ({why}); leave it out, or add --dua")
    print(f"experiment: {'DUA, SURREAL -> Human3.6M' if args.dua else 'in domain, SURREAL'}; {why}", flush=True)
    return args.dua
