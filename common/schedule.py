"""The two courses of a training: the published one, and one that reaches its error in less time."""

import argparse
import math
from typing import Any

SCHEDULES = ("published", "fast")

_WARM_UP = 0.05
"""Share of a fast run in which the learning rate rises; Adam's second moments are of few steps then."""


def fast_options(args: argparse.Namespace) -> dict[str, Any]:
    """{option: value} that `--schedule fast` stands for where the command line does not say otherwise."""
    return {"batch_size": 512, "lr": 2e-3, "epochs": fast_epochs(args.epochs), "precision": "auto"}


def fast_epochs(published: int) -> int:
    """Passes over the data that make a fast run of one that is published with so many."""
    return max(1, round(published / 5))


def learning_rate(args: argparse.Namespace, step: int, total_steps: int) -> float:
    """Of the step that comes after `step` steps.

    published: lr * gamma ** (step / lr_decay), as Martinez et al. and what builds on them.
    fast: a linear rise to lr, then half a cosine down to 0 at the run's end (Loshchilov & Hutter 2017; Smith 2018).
    """
    if args.schedule == "published":
        return float(args.lr * args.lr_gamma ** (step / args.lr_decay))
    warm_up = max(1, round(_WARM_UP * total_steps))
    if step < warm_up:
        return float(args.lr * (step + 1) / warm_up)
    share = (step - warm_up) / max(1, total_steps - warm_up)
    return float(args.lr * (1 + math.cos(math.pi * min(share, 1.0))) / 2)
