"""BatchNorm with statistics of its own for each domain (Li et al. 2016, "Revisiting Batch Normalization for Practical
Domain Adaptation"; Chang et al., "Domain-Specific Batch Normalization", CVPR 2019)."""

import torch
from torch import Tensor, nn

DOMAINS = ("source", "target")


class DomainBatchNorm1d(nn.Module):
    """One scale and shift for all, a running mean and variance for each domain: that of the batch, see `select_domain`.

    Shape:
        (N, C) -> (N, C)
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.source = nn.BatchNorm1d(num_features)
        self.target = nn.BatchNorm1d(num_features, affine=False)
        self.domain = "source"

    def forward(self, x: Tensor) -> Tensor:
        if self.domain == "source":
            return self.source(x)
        return self.target(x) * self.source.weight + self.source.bias


def separate_domains(network: nn.Module) -> nn.Module:
    """Put a `DomainBatchNorm1d` in the place of every BatchNorm of a new network, in place; returns the network."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm1d) and not isinstance(parent, DomainBatchNorm1d):
                norm = DomainBatchNorm1d(child.num_features)
                norm.source.load_state_dict(child.state_dict())
                setattr(parent, name, norm)
    return network


def select_domain(network: nn.Module, domain: str) -> None:
    """Whose statistics the network uses and, in training, updates; nothing changes in a network that has but one kind."""
    if domain not in DOMAINS:
        raise ValueError(f"domain {domain!r}: one of {', '.join(DOMAINS)} is needed")
    for module in network.modules():
        if isinstance(module, DomainBatchNorm1d):
            module.domain = domain


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """What a BatchNorm of either kind does in evaluation, y = x * scale + shift with (C,) each, for the layer before it to do at
    once; None in training, where it depends on the batch."""
    affine, statistics = norm, norm
    if isinstance(norm, DomainBatchNorm1d):
        affine, statistics = norm.source, norm.source if norm.domain == "source" else norm.target
    assert isinstance(affine, nn.BatchNorm1d)
    assert isinstance(statistics, nn.BatchNorm1d)
    if statistics.training:
        return None
    assert statistics.running_mean is not None
    assert statistics.running_var is not None
    scale = affine.weight * torch.rsqrt(statistics.running_var + statistics.eps)
    return scale, affine.bias - statistics.running_mean * scale
