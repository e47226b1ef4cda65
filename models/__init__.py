"""Networks. Each is built from a description of plain values, which a checkpoint keeps: nobody has to remember sizes."""

from typing import Any

from torch import nn

from models.martinez import Martinez
from models.uncertainty import UncertaintyEstimator

NETWORKS: dict[str, type[nn.Module]] = {
    "martinez": Martinez,
    "uncertainty": UncertaintyEstimator,
}


def build(description: dict[str, Any]) -> nn.Module:
    """The network that `description` names: {"name": "martinez", "hid_dim": 1024, ...}.

    Raises:
        KeyError: no network has that name.
        TypeError: a size is missing or unknown.
    """
    sizes = dict(description)
    return NETWORKS[sizes.pop("name")](**sizes)
