"""What a network makes of both domains, before its last layer: a picture of its features, and how well the domains can be told apart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from common.adaptation.domain_gap import a_distance, clip_numbers, lifted, principal_plane, sampled
from common.datasets.poses import Poses
from common.evaluation.evaluate import network_inputs
from common.evaluation.test_time import TestTime
from common.figures import COLOURS, legend_below, printable, subplots

_DOTS, _JUDGED = 600, 4000
"""Poses of each domain: that are drawn, and that the A-distance learns from and is judged on."""


@dataclass(frozen=True)
class FeaturePlane:
    """Features of both domains on the plane along which they vary most together.

    Attributes:
        source, target: (N, 2) and (M, 2), drawn evenly from the tests of both.
        share: of the variance that lies in the plane.
        of_features, of_poses: A-distances (`common.adaptation.domain_gap.a_distance`) of the features and of the predicted poses.
        names: of the domains.
    """

    source: Tensor
    target: Tensor
    share: float
    of_features: float
    of_poses: float
    names: tuple[str, str]


def feature_plane(networks: Mapping[str, nn.Module], source: Poses, target: Poses, test_time: TestTime) -> FeaturePlane:
    """Lift poses of both domains, which are shown to the network as it was trained to see them, and look at its features. No label is read."""
    poses, features, clips = [], [], []
    for of, domain in ((source, "source"), (target, "target")):
        rows = sampled(torch.arange(len(of)), _JUDGED)
        inputs_2d, _ = network_inputs(of, test_time)
        lifted_poses, lifted_features = lifted(networks, inputs_2d[rows], domain)
        poses.append(lifted_poses.flatten(1))
        features.append(lifted_features)
        clips.append(clip_numbers(of)[rows])
    plane_a, plane_b, share = principal_plane(*(of[:_DOTS] for of in features))
    of_features, of_poses = (a_distance(both[0], both[1], clips[0], clips[1]) for both in (features, poses))
    return FeaturePlane(plane_a, plane_b, share, of_features, of_poses, (source.name, target.name))


def draw_feature_planes(planes: Sequence[FeaturePlane], names: Sequence[str], inches: float) -> Any:
    """A panel for each network, with its A-distances; axes have no unit, so that they carry no numbers."""
    across = min(len(planes), 4 if inches > 4 else 2)
    down = math.ceil(len(planes) / across)
    letters = int(inches / across * 14)
    titles = [
        printable(name, letters, others=names) + f"\nA-distance {plane.of_features:.2f}, of poses {plane.of_poses:.2f}"
        for name, plane in zip(names, planes, strict=True)
    ]
    lines = max(title.count("\n") + 1 for title in titles)
    figure, grid = subplots(down, across, (inches, down * (min(2.2, inches / across) + 0.1 * lines) + 0.35))
    dots: list[Any] = []
    for axis, plane, title in zip(grid.flat, planes, titles, strict=False):
        style = {"s": 4, "linewidths": 0.5, "alpha": 0.6}
        dots = [
            axis.scatter(*plane.source.T.numpy(), color=COLOURS[0], marker="o", **style),
            axis.scatter(*plane.target.T.numpy(), color=COLOURS[1], marker="x", **style),
        ]
        axis.set(xticks=[], yticks=[], xlabel=f"two axes, {100 * plane.share:.0f} % of the variance")
        axis.set_title(title)
    for axis in list(grid.flat)[len(planes) :]:
        axis.set_visible(False)
    roles = ["source", "target"]
    if len({plane.names for plane in planes}) == 1:  # else the same colour is another data set in another panel
        roles = [f"{name} ({role})" for name, role in zip(planes[0].names, roles, strict=True)]
    legend_below(figure, dots, roles)
    return figure
