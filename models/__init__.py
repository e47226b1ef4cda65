"""Networks. Each is built from a description of plain values, which a checkpoint keeps: nobody has to remember sizes."""

from typing import Any

from torch import nn

from models.domain_classifier import DomainClassifier
from models.domain_norm import separate_domains
from models.martinez import Martinez
from models.pose_converter import PoseConverter
from models.sem_gcn import SemGCN
from models.uncertainty import GaussianEstimator, UncertaintyEstimator
from models.view_pool import ViewPool

NETWORKS: dict[str, type[nn.Module]] = {
    "martinez": Martinez,
    "semgcn": SemGCN,
    "uncertainty": UncertaintyEstimator,
    "gaussian": GaussianEstimator,
    "domain": DomainClassifier,
    "converter": PoseConverter,
    "view_pool": ViewPool,
}


def build(description: dict[str, Any]) -> nn.Module:
    """The network that `description` names: {"name": "martinez", "hid_dim": 1024, ...}.

    With `domain_bn` set, its BatchNorms keep statistics of source and target apart (`models.domain_norm`).

    Raises:
        KeyError: no network has that name.
        TypeError: a size is missing or unknown.
    """
    sizes = dict(description)
    name, domain_bn = sizes.pop("name"), sizes.pop("domain_bn", False)
    network = NETWORKS[name](**sizes)
    return separate_domains(network) if domain_bn else network
