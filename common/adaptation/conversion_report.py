"""What `conversion.py` reports: the error between two skeletons before and after conversion."""

from collections.abc import Sequence as SequenceOf
from typing import Any

import torch
from torch import Tensor, nn

from common.adaptation.converter import TOLERANCE, failed_check
from common.datasets.poses import Sequence
from common.evaluation.metrics import joint_errors, mpjpe, p_mpjpe
from common.geometry.skeleton import JOINT_NAMES

_COLUMNS = ("before", "after", "least squares")


@torch.no_grad()
def conversion_errors(converter: nn.Module, inputs: Tensor, outputs: Tensor) -> dict[str, float]:
    """MPJPE and P-MPJPE in millimetres of converted poses, named as `common.training.loop.Trainer` expects them."""
    converted = converter.convert(inputs)  # type: ignore[operator]
    return {
        "val_mpjpe_mm": float(mpjpe(converted, outputs).double().mean()) * 1000,
        "val_p_mpjpe_mm": float(p_mpjpe(converted, outputs).double().mean()) * 1000,
    }


@torch.no_grad()
def print_report(
    made: str,
    held_out: bool,
    sequences: SequenceOf[Sequence],
    inputs: Tensor,
    outputs: Tensor,
    trained: nn.Module,
    closed_form: nn.Module,
    training_pairs: tuple[Tensor, Tensor],
) -> dict[str, Any]:
    """Print errors per joint and per action on held-out pairs, in millimetres; returns what `conversion.json` keeps of them.

    Without `held_out` (`--select last`) they are the training pairs, and it says so. Columns: the two skeletons as they are; after
    the trained converter; after the closed-form one. The two are compared on the pairs that both were fitted to as well: there a
    difference can only come of training.
    """
    predictions = (inputs, trained.convert(inputs), closed_form.convert(inputs))  # type: ignore[operator]
    errors = [joint_errors(predicted, outputs).cpu().double() * 1000 for predicted in predictions]  # 3 x (N, 16)
    rows: dict[str, list[float]] = {}
    for joint, name in enumerate(JOINT_NAMES):
        rows[name] = [float(error[:, joint].mean()) for error in errors]
    actions: dict[str, list[Tensor]] = {}
    for sequence in sequences:
        actions.setdefault(sequence.base_action, []).append(torch.arange(sequence.start, sequence.stop))
    per_action = {action: [float(error[torch.cat(actions[action])].mean()) for error in errors] for action in sorted(actions)}
    mean = [float(error.mean()) for error in errors]

    width = max(len(name) for name in (*rows, *per_action, "all joints, all actions"))
    on = "held-out pairs" if held_out else "the training pairs (--select last: none is held out)"
    print(f"\nto the skeleton of {made}: distance of the two skeletons' joints on {on}, mm, by joint and by action\n")
    print(f"{'':<{width}}" + "".join(f"{title:>15}" for title in _COLUMNS))
    for block in (rows, per_action, {"all joints, all actions": mean}):
        for name, values in block.items():
            print(f"{name:<{width}}" + "".join(f"{value:15.1f}" for value in values))
        print("-" * (width + 15 * len(_COLUMNS)))
    fitted = [conversion_errors(converter, *training_pairs)["val_mpjpe_mm"] for converter in (trained, closed_form)]
    distances = {"held_out": mean[1] / mean[2] - 1, "training_pairs": fitted[0] / fitted[1] - 1}
    print(
        f"trained against least squares: {'held out' if held_out else 'on these'} {distances['held_out']:+.1%}, "
        f"on the training pairs {distances['training_pairs']:+.1%}"
    )
    if failed_check(distances):
        print(f"  that is more than {TOLERANCE:.0%}: training did not reach the best converter; train longer, --epochs")
    return {
        "format": made,
        "columns": _COLUMNS,
        "unit": "mm",
        "joints": rows,
        "actions": per_action,
        "mean": mean,
        "trained_against_least_squares": distances,
    }
