"""Command-line options that the training scripts share, and how they combine with a checkpoint's."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from common.compute.device import PRECISIONS
from common.compute.distributed import from_main, remembered
from common.errors import DuaError
from common.evaluation.losses import UNCERTAINTY_WEIGHTS
from common.training.checkpoint import BEST, LAST, run_of
from common.training.networks import NETWORK_SIZES
from common.training.schedule import add_schedule_arguments, check_schedule, fast_options

# What may differ when a run is taken up again: it changes where and how long the run goes, not what it computes.
_FREE_ON_RESUME = {
    "resume", "evaluate", "epochs", "device", "data_dir", "snapshot", "num_workers", "checkpoint", "on_nan", "compile", "precision", "settled",
}  # fmt: skip

# What a checkpoint is, however it is used: an option cannot make something else of it.
_ALWAYS_THE_CHECKPOINTS = {
    "format",
    "architecture",
    "network",
    "hid_dim",
    "num_layers",
    "non_local",
    "smpl_shoulders",
    "converter_on",
    "uncertainty_on",
    "domain_on",
    "domain_bn",
    "uncertainty_loss",
    "align",
    "augment",
    "new_poses",
    "target_poses",
    "target_joints",
    "discrepancy",
    "reproject",
    "teacher",
    "scale",
    "scale_size",
    "select",
}

# Switches that are called after what they take away.
SWITCHES_OFF = {
    "converter_on": "--no_converter", "uncertainty_on": "--no_uncertainty", "domain_on": "--no_domain", "max_norm": "--no_max",
}  # fmt: skip

# What runs have that are older than the option.
OLDER_RUNS = {
    "uncertainty_loss": "relative", "align": [], "augment": False, "discrepancy": None, "tta": False, "test_bn": False,
    "scale": "none", "scale_size": None, "views_warm_up": None, "views_every": 1,
    "reproject": False, "teacher": False, "schedule": "published", "precision": "float32", "compile": False, "stream": "off",
    "select": "source", "start": "identity", "settled": 0.0, "initial": "published", "epoch_share": 1.0,
    "domain_of": "poses", "domain_bn": False, "lr_fall": "cosine", "new_poses": False, "target_poses": False, "target_joints": False,
}  # fmt: skip


def training_parser(
    doc: str | None, checkpoint: str, epochs: int, surreal: bool = False, adapts: bool = False
) -> argparse.ArgumentParser:
    """A parser with the options of every training script.

    Args:
        doc: the script's docstring.
        surreal: whether it reads SURREAL's training poses.
        adapts: whether it has a target data set, whose test labels `--select target` may read.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data_dir", default="data", help="folder with the prepared data sets; data/demo for the demo (default: %(default)s)"
    )
    data.add_argument(
        "-k",
        "--keypoints",
        default="gt",
        help="2D joints: gt, cpn_ft_h36m_dbb, sh_ft_h36m, sh_pt_mpii, ... (default: %(default)s)",
    )
    data.add_argument("-a", "--actions", default="*", help="'*' for all, or a comma list: Walking,Sitting (default: all)")
    data.add_argument("--downsample", type=int, default=1, help="keep every n-th frame (default: %(default)s)")
    data.add_argument(
        "--num_workers",
        type=int,
        default=0,
        help="accepted and not needed: the data set lives on the device, nothing is loaded by workers",
    )
    if surreal:
        data.add_argument(
            "--stream",
            choices=("auto", "on", "off"),
            default="auto",
            help="SURREAL's training poses stay in their file and are read by shuffled blocks; auto: if the file holds more than "
            "2,097,152 (default: auto)",
        )

    run = parser.add_argument_group("run")
    run.add_argument(
        "-c", "--checkpoint", default=checkpoint, help="each run makes a folder named by its time in here (default: %(default)s)"
    )
    run.add_argument(
        "--snapshot", type=int, default=0, help="keep a checkpoint every n epochs; 0: only best and last (default: 0)"
    )
    run.add_argument(
        "-r",
        "--resume",
        metavar="FILE",
        help="go on with this checkpoint (or run folder; of a folder of runs the newest), to the same result",
    )
    run.add_argument(
        "--evaluate",
        metavar="FILE",
        help="train nothing, only report the errors of this checkpoint (or run folder; of a folder of runs the newest)",
    )
    run.add_argument("-dv", "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")
    run.add_argument("--seed", type=int, default=0, help="same seed, same machine, same result (default: %(default)s)")
    run.add_argument("--limit_batches", type=int, default=None, help="train on so many batches an epoch, for smoke runs")

    training = parser.add_argument_group("training")
    add_schedule_arguments(training, epochs)
    training.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="float32",
        help="of the matrix products; auto: bfloat16 where the processor has it (default: %(default)s, with --schedule fast auto)",
    )
    training.add_argument(
        "--compile",
        action="store_true",
        help="networks through torch.compile, on CUDA as captured graphs; see docs/running.md where it pays",
    )
    training.add_argument(
        "--no_compile", dest="compile", action="store_false", default=False, help="go on with a compiled run without it"
    )
    training.add_argument(
        "--on_nan",
        choices=("stop", "skip"),
        default="stop",
        help="a NaN or infinite loss or gradient ends the run, or leaves that batch out (default: %(default)s)",
    )
    oracle = "; target: the least error on the target's test labels, the published protocol of DUA, an oracle, and every result says so"
    training.add_argument(
        "--select",
        choices=("source", "last", *(("target",) if adapts else ())),
        default="source",
        help="the epoch that is kept. source: the least error on a tenth of the source's training clips, held out; last: the last one, nothing is "
        f"held out (the protocol of Martinez, SemGCN and VideoPose3D){oracle if adapts else ''} (default: %(default)s)",
    )
    training.add_argument("--no_max", dest="max_norm", action="store_false", help="do not clip the gradient's norm to 1")
    return parser


def options_of(add: Callable[[argparse.ArgumentParser], None]) -> list[str]:
    """Names of the options that a function adds."""
    parser = argparse.ArgumentParser(add_help=False)
    add(parser)
    return [action.dest for action in parser._actions]


class Arguments(argparse.Namespace):
    """Parsed options; `given` holds the names that stood on the command line, the others have their defaults."""

    given: set[str]


def parse_arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None = None, unread: Collection[str] = ()
) -> Arguments:
    """Parse and check the options of `training_parser`; those that are `unread` by the script are refused, and not offered.

    Raises:
        DuaError: a value that cannot be meant, or options that exclude each other.
    """
    for action in parser._actions:
        if action.dest in unread:
            action.help = argparse.SUPPRESS
    unset = object()
    names = [action.dest for action in parser._actions if action.dest != "help"]
    # argparse leaves attributes that are there already alone, so what is still `unset` was not given.
    parsed = vars(parser.parse_args(argv, namespace=argparse.Namespace(**dict.fromkeys(names, unset))))
    given = {name for name, value in parsed.items() if value is not unset}
    args = Arguments(**{name: parser.get_default(name) if value is unset else value for name, value in parsed.items()})
    args.given = given
    if useless := [f"--{name}" for name in unread if name in given]:
        raise DuaError(f"{', '.join(useless)}: of no use to {parser.prog}; leave it out")
    if args.schedule == "fast":
        network = getattr(args, "network", None) or parser.get_default("network")  # an option, or the script's only one
        for name, value in fast_options(network, args.epochs).items():
            if name == "epoch_share" and "epochs" in given:
                continue  # who says how many passes wants whole ones
            if name not in given and name in vars(args):
                setattr(args, name, value)
    if args.resume and args.evaluate:
        raise DuaError("--resume goes on training, --evaluate only reports: give one of them")
    check_values(args)
    if not (args.resume or args.evaluate):  # a checkpoint's options were checked when it was made
        check_schedule(args.schedule, given)
    if args.resume:  # now, so that a folder of runs is one and the same run to all who ask
        args.resume = str(from_main(lambda: run_of(args.resume, LAST, BEST)))
    if args.evaluate:
        args.evaluate = str(from_main(lambda: run_of(args.evaluate, BEST)))
    kept = remembered("checkpoint")  # a process died, and torchrun started all of them again
    if kept:
        args.resume = str(kept)
    return args


_LEAST = {
    "epochs": 1, "downsample": 1, "lr_decay": 1, "limit_batches": 1, "snapshot": 0, "seed": 0, "hid_dim": 1, "num_layers": 0,
    "uncertainty_weight": 0, "dropout": 0, "domain_weight": 0, "domain_hid_dim": 1, "discrepancy_weight": 0, "grl_alpha": 0, "grl_steps": 1,
    "settled": 0, "reproject_weight": 0, "teacher_weight": 0, "teacher_warmup": 0, "views_warm_up": 1, "views_every": 1,
}  # fmt: skip


def check_values(args: argparse.Namespace) -> None:
    """Raise a `DuaError` for numbers that no run can work with."""
    for name, least in _LEAST.items():
        value = getattr(args, name, None)
        if value is not None and not least <= value < float("inf"):
            raise DuaError(f"--{name} {value}: at least {least} is needed")
    if args.seed >= 2**63:
        raise DuaError(f"--seed {args.seed}: a number below 2**63 is needed")
    for name in ("lr", "lr_gamma"):
        value = getattr(args, name)
        if not 0 < value < float("inf"):
            raise DuaError(f"--{name} {value}: a positive number is needed")
    if not 0 < args.epoch_share <= 1:
        raise DuaError(f"--epoch_share {args.epoch_share:g}: more than 0 and at most 1 is needed; --epochs makes a run longer")
    if getattr(args, "dropout", None) is not None and args.dropout >= 1:
        raise DuaError(f"--dropout {args.dropout}: a share below 1 is needed")


def check_fps(fps: float | None) -> None:
    """Raise a `DuaError` for frames per second that no player shows."""
    if fps is not None and not 0.01 <= fps <= 1000:
        raise DuaError(f"--fps {fps:g}: 0.01 to 1000 frames a second are possible")


def recorded_arguments(args: Arguments) -> dict[str, Any]:
    """The options as a checkpoint and `config.json` keep them."""
    return {name: value for name, value in vars(args).items() if name not in ("given", "resume", "evaluate")}


def adopt_arguments(args: Arguments, recorded: dict[str, Any], path: str, resume: bool) -> None:
    """Take over from a checkpoint what the command line does not say, in place.

    A resumed run must be the same run: an option that changes what is computed and differs from the checkpoint's is
    refused. An evaluated one may be tested on other data, but not as another network.

    Raises:
        DuaError: such an option; the message lists the two values.
    """
    recorded = OLDER_RUNS | recorded
    free = _FREE_ON_RESUME - ({"epochs"} if recorded["schedule"] == "fast" else set())  # it is laid over the whole run
    # 'auto' is recorded as what it came to, which torchrun's next attempt, or a job that is queued again, must not contradict.
    given = args.given - ({"precision"} if args.precision == "auto" else set())
    for name, value in recorded.items():
        # Tests are in float32 whatever the training was in, and on devices that have no tf32.
        if name not in vars(args) or (name in ("checkpoint", "device", "precision") and not resume):
            continue
        if name not in given:
            setattr(args, name, value)
        elif getattr(args, name) != _came_to(name, recorded) and (
            name not in free if resume else name in _ALWAYS_THE_CHECKPOINTS
        ):
            raise DuaError(
                f"{_as_typed(name, getattr(args, name))} differs from {path}, which was trained {_with(_came_to(name, recorded))}; leave it out"
                + (" to go on with that run, or start a new one without --resume" if resume else "")
            )
    check_values(args)


def _came_to(name: str, recorded: Mapping[str, Any]) -> Any:
    """What an option was in a run: recorded as None are also those for which the network, or the experiment, has a default."""
    sizes = NETWORK_SIZES.get(str(recorded.get("network")), {})
    if recorded[name] is None and name in sizes:
        return sizes[name]
    if recorded[name] is None and name == "uncertainty_weight":
        return UNCERTAINTY_WEIGHTS["in domain" if recorded.get("dua") is False else "DUA"]
    return recorded[name]


def _as_typed(name: str, value: Any) -> str:
    """An option with its value, as it stands on a command line."""
    if value is False:
        return SWITCHES_OFF[name]
    words = value if isinstance(value, list) else () if value is True else (value,)
    return " ".join(map(str, (f"--{name}", *words)))


def _with(value: Any) -> str:
    """How a run was trained that has `value` where a command line says otherwise; of a switch it is always the other way."""
    if value is None or isinstance(value, bool) or value == []:
        return "without it"
    return f"with {' '.join(map(str, value)) if isinstance(value, list) else value}"
