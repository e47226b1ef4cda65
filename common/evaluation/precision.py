"""What a test in fewer bits costs: the same networks on a part of the same poses, in `--precision` and in float32."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.evaluation.evaluate import lift
from common.evaluation.metrics import joint_errors, mpjpe
from common.evaluation.test_time import TestTime

SAMPLE = 4096
"""About so many poses tell it: clips from all over the set, so that a whole test need not be made twice."""


def difference_from_float32(
    networks: Mapping[str, nn.Module], poses: Poses | Streamed[Poses], device: torch.device, domain: str, test_time: TestTime
) -> str:
    """A line: by how many millimetres the MPJPE differs from float32's, and by how many the joints do."""
    every = -(-len(poses) // SAMPLE)
    starts = {sequence.start for sequence in poses.sequences[::every]}
    part = poses.select(lambda sequence: sequence.start in starts)
    some = part.thinned(SAMPLE) if isinstance(part, Streamed) else part
    reduced, _ = lift(networks, some, device, domain, test_time)
    whole, _ = lift(networks, some, device, domain, replace(test_time, precision="float32"))
    target = some.targets_3d.cpu()
    errors = [float(mpjpe(predicted, target).double().mean()) * 1000 for predicted in (reduced, whole)]
    moved = float(joint_errors(reduced, whole)[:, 1:].mean()) * 1000
    return (
        f"{test_time.precision} against float32, {len(some):,} poses: MPJPE {errors[0] - errors[1]:+.3f} mm ({errors[1]:.2f} in float32), "
        f"joints elsewhere by {moved:.3f} mm"
    )
