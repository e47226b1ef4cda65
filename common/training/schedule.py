"""The two courses of a training: the published one, and one that reaches its error in less time."""

import argparse
import math
from collections.abc import Collection
from typing import Any

from common.errors import DuaError

SCHEDULES = ("published", "fast")
FALLS = ("cosine", "linear")

_WARM_UP = 0.05
"""Share of a fast run in which the learning rate rises; Adam's second moments are of few steps then."""


# Chosen by validation errors on the open benchmark (Human3.6M domain, seed 0); benchmarks/records.md has what each was worth. Weights that
# begin at the mean pose need neither the published schedule's passes nor, in so few, its dropout. Batches of 64 are SemGCN's:
# larger ones are hardly faster, and it needs the steps.
_FAST: dict[str | None, dict[str, Any]] = {
    "martinez": {"batch_size": 256, "lr": 4e-3, "share": 1 / 6, "dropout": 0.0, "initial": "mean"},
    "semgcn": {"batch_size": 64, "lr": 1.2e-2, "lr_fall": "linear", "share": 0.1175, "initial": "mean"},
    None: {"batch_size": 512, "lr": 8e-3, "share": 0.85},  # conversion.py's
}


def add_schedule_arguments(group: argparse._ArgumentGroup, epochs: int) -> None:
    """Options of how long and how fast is learnt; `epochs` is the default of the published schedule."""
    group.add_argument("-b", "--batch_size", type=int, default=64, help="poses per step (default: %(default)s)")
    group.add_argument("-e", "--epochs", type=int, default=epochs, help="passes over the data (default: %(default)s)")
    group.add_argument(
        "--epoch_share",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="of its batches that an epoch has, of other poses each time; --schedule fast ends with it where it shall (default: 1)",
    )
    group.add_argument("--lr", type=float, default=1e-3, help="Adam's learning rate (default: %(default)s)")
    group.add_argument(
        "--lr_decay", type=int, default=100_000, help="steps after which lr has fallen by gamma (default: %(default)s)"
    )
    group.add_argument("--lr_gamma", type=float, default=0.96, help="lr * gamma ** (step / lr_decay) (default: %(default)s)")
    group.add_argument(
        "--lr_fall",
        choices=FALLS,
        default="cosine",
        help="how lr falls to 0 with --schedule fast: half a cosine, or a line (default: %(default)s; SemGCN's is a line)",
    )
    group.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default="published",
        help="published: batch 64, Adam, decay by step; fast: warm-up and a fall to 0 over fewer epochs, averaged weights, bfloat16 where the "
        "processor has it, weights that begin at the mean pose (default: %(default)s)",
    )


def check_schedule(schedule: str, given: Collection[str]) -> None:
    """Raise a `DuaError` where the command line has an option of the other schedule."""
    for name, of in (("lr_decay", "published"), ("lr_gamma", "published"), ("lr_fall", "fast")):
        if name in given and schedule != of:
            raise DuaError(f"--{name} is of --schedule {of}, and this is --schedule {schedule}; leave it out")


def fast_options(network: str | None, epochs: int) -> dict[str, Any]:
    """{option: value} that `--schedule fast` stands for where the command line does not say otherwise. Epochs are as many as hold that
    share of the published ones, all of one length.

    Args:
        network: the lifting network, None for what is none.
        epochs: of the published schedule.
    """
    options = dict(_FAST[network])
    passes = options.pop("share") * epochs
    whole = max(1, math.ceil(round(passes, 6)))  # a sixth of 12 is 2
    return options | {"epochs": whole, "epoch_share": round(min(1.0, passes / whole), 4), "precision": "auto"}


def learning_rate(args: argparse.Namespace, step: int, total_steps: int) -> float:
    """Of the step that comes after `step` steps.

    published: lr * gamma ** (step / lr_decay), as Martinez et al. and what builds on them.
    fast: a linear rise to lr (Smith 2018), then down to 0 at the run's end, by half a cosine (Loshchilov & Hutter 2017) or a line
    (Bergsma et al. 2025, arXiv 2502.15938).
    """
    if args.schedule == "published":
        return float(args.lr * args.lr_gamma ** (step / args.lr_decay))
    warm_up = max(1, round(_WARM_UP * total_steps))
    if step < warm_up:
        return float(args.lr * (step + 1) / warm_up)
    share = min((step - warm_up) / max(1, total_steps - warm_up), 1.0)
    return float(args.lr * (1 - share if args.lr_fall == "linear" else (1 + math.cos(math.pi * share)) / 2))
