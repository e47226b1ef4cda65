"""Initial weights that fit the data: a network that starts so is in its first step where it otherwise is after hundreds."""

import torch
from torch import Tensor, nn

from models.martinez import Martinez
from models.sem_gcn import GraphLayer, SemGCN

INITIAL = ("published", "mean", "whitened")
"""Ways to begin: as the networks are built, from the mean pose, and from it with whitened inputs."""
OUTPUT_SCALE = 0.1
"""Of the last layer's initial weights to those that are otherwise drawn, whose first poses are metres wrong."""
GRAPH_SCALE = 4.0
"""The same of SemGCN's hidden graph convolutions. The BatchNorm after each hides it from the poses, but not from Adam, whose steps are as
large whatever the weights are: these are small (`models.sem_gcn.SemanticGraphConv`), and a fast rate's first steps as large as they."""
_LEAST_VARIANCE = 1e-6
"""Of the largest: what varies less is not amplified any further. Joints that follow from others would be, without bound."""


@torch.no_grad()
def start_from_data(lifter: nn.Module, inputs_2d: Tensor, targets_3d: Tensor, whiten: bool = False) -> None:
    """Change a new lifting network's last layer, and with `whiten` its first, to suit some of its training data, in place.

    Its first poses are near the mean one (Martinez) or near the hip (SemGCN, whose output layer has no bias; its hidden layers begin larger,
    which their BatchNorms undo). With `whiten`, Martinez's first
    layer whitens: W becomes W C^(-1/2), b becomes b - W C^(-1/2) m, with the mean m and the covariance C of the inputs, so that every
    direction of 2D poses comes in with the same variance (LeCun et al. 1998, "Efficient BackProp", section 4.3). The small
    differences that tell depth are otherwise hidden beneath where people stand and how they are turned. SemGCN's first layer
    has the same weights for every joint, which cannot whiten a pose.

    The network is as before in all but these numbers: nothing is added to it.

    Args:
        inputs_2d: (N, J, 2), thousands.
        targets_3d: (N, J, 3) metres, hip at the origin.

    Raises:
        TypeError: it is another network.
    """
    if not isinstance(lifter, Martinez | SemGCN):
        raise TypeError(f"nobody has said yet how a {type(lifter).__name__} begins where the data are; leave --initial out")
    lifter.output.weight.mul_(OUTPUT_SCALE)
    if isinstance(lifter, SemGCN):
        for layer in lifter.modules():
            if isinstance(layer, GraphLayer):
                layer.conv.weight.mul_(GRAPH_SCALE)
        return
    lifter.output.bias.copy_(targets_3d[:, 1:].mean(0).flatten())
    if not whiten:
        return
    mean, whitening = whitening_of(inputs_2d.flatten(1))
    first = lifter.input[0]
    assert isinstance(first, nn.Linear)
    first.weight.copy_(first.weight @ whitening)
    first.bias.sub_(first.weight @ mean)


def whitening_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(F,) mean m and (F, F) matrix C^(-1/2) of (N, F): (x - m) C^(-1/2) has covariance 1, but where `_LEAST_VARIANCE` bounds it."""
    exact = rows.double().cpu()  # eigenvalues over six decades; MPS has no float64
    mean = exact.mean(0)
    variances, axes = torch.linalg.eigh((exact - mean).T @ (exact - mean) / len(exact))
    scale = (variances + _LEAST_VARIANCE * variances[-1]).rsqrt()
    return mean.to(rows), (axes * scale @ axes.T).to(rows)
