"""BatchNorm by domain: batches normalised by themselves, statistics apart, scale and shift shared."""

import pytest
import torch
from torch import nn

from common.evaluation.test_time import adapt_batchnorm
from common.geometry.skeleton import PARENTS
from models import build
from models.domain_norm import DomainBatchNorm1d, scale_and_shift, select_domain, separate_domains
from models.sem_gcn import skeleton_adjacency

MARTINEZ = {"name": "martinez", "num_joints": 16, "hid_dim": 8, "num_layers": 1, "dropout": 0.0}
SEMGCN = {
    "name": "semgcn", "adjacency": skeleton_adjacency(PARENTS).tolist(), "hid_dim": 8, "num_layers": 1, "dropout": None, "non_local": True,
}  # fmt: skip


def normal(rows, seed, mean=0.0, deviation=1.0):
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed)) * deviation + mean


def both(network, source, target):
    """A batch of either domain, one after the other; the two outputs."""
    outputs = []
    for domain, x in (("source", source), ("target", target)):
        select_domain(network, domain)
        outputs.append(network(x))
    return outputs


def layer():
    norm = DomainBatchNorm1d(5)
    with torch.no_grad():
        norm.source.weight.copy_(torch.arange(1.0, 6))
        norm.source.bias.copy_(torch.arange(-2.0, 3))
    return norm


def test_in_training_a_batch_is_normalised_by_itself():
    norm, source, target = layer().train(), normal(32, 0, mean=3), normal(32, 1, mean=-7, deviation=4)
    for out, x in zip(both(norm, source, target), (source, target)):
        expected = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() * torch.arange(1.0, 6) + torch.arange(-2.0, 3)
        torch.testing.assert_close(out, expected)


def test_statistics_are_of_their_own_domain():
    norm, source, target = layer().train(), normal(64, 0, mean=3), normal(64, 1, mean=-7, deviation=4)
    both(norm, source, target)
    torch.testing.assert_close(norm.source.running_mean, 0.1 * source.mean(0))
    torch.testing.assert_close(norm.target.running_mean, 0.1 * target.mean(0))
    torch.testing.assert_close(norm.source.running_var, 0.9 + 0.1 * source.var(0))
    torch.testing.assert_close(norm.target.running_var, 0.9 + 0.1 * target.var(0))


@pytest.mark.parametrize("domain", ["source", "target"])
def test_in_evaluation_the_chosen_domain_counts_for_every_row(domain):
    norm = layer().train()
    for seed in range(50):
        both(norm, normal(64, seed, mean=3), normal(64, 100 + seed, mean=-7, deviation=4))
    norm.eval()
    select_domain(norm, domain)
    x = normal(7, 9)
    statistics = getattr(norm, domain)
    expected = (x - statistics.running_mean) / (statistics.running_var + 1e-5).sqrt() * torch.arange(1.0, 6) + torch.arange(
        -2.0, 3
    )
    torch.testing.assert_close(norm(x), expected)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    norm(x)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_scale_and_shift_are_learnt_once_from_both_domains():
    norm = layer().train()
    assert {name for name, _ in norm.named_parameters()} == {"source.weight", "source.bias"}
    torch.cat(both(norm, normal(32, 0), normal(32, 1))).sum().backward()
    torch.testing.assert_close(norm.source.bias.grad, torch.full((5,), 64.0))  # 32 rows of either domain


@pytest.mark.parametrize("description", [MARTINEZ, SEMGCN], ids=["martinez", "semgcn"])
def test_every_batchnorm_of_a_network_is_replaced(description):
    torch.manual_seed(0)
    plain = build(description)
    torch.manual_seed(0)
    separate = build(description | {"domain_bn": True})
    count = sum(isinstance(module, nn.BatchNorm1d) for module in plain.modules())
    assert sum(isinstance(module, DomainBatchNorm1d) for module in separate.modules()) == count > 0
    assert sum(p.numel() for p in separate.parameters()) == sum(p.numel() for p in plain.parameters())
    inputs = torch.randn(6, 16, 2)
    assert torch.equal(plain.eval()(inputs)[0], separate.eval()(inputs)[0])  # before training the two say the same


def test_separating_twice_changes_nothing():
    network = build(MARTINEZ | {"domain_bn": True})
    names = [name for name, _ in network.named_modules()]
    assert [name for name, _ in separate_domains(network).named_modules()] == names


def test_weights_survive_a_state_dict():
    network = build(MARTINEZ | {"domain_bn": True}).train()
    both(network, torch.randn(8, 16, 2), torch.randn(8, 16, 2) + 1)
    copy = build(MARTINEZ | {"domain_bn": True})
    copy.load_state_dict(network.state_dict())
    inputs = torch.randn(6, 16, 2)
    for domain in ("source", "target"):
        select_domain(network.eval(), domain)
        select_domain(copy.eval(), domain)
        assert torch.equal(network(inputs)[0], copy(inputs)[0])


def test_the_domains_matter_after_training():
    network = build(MARTINEZ | {"domain_bn": True}).train()
    both(network, torch.randn(8, 16, 2), torch.randn(8, 16, 2) * 3 + 1)
    inputs = torch.randn(6, 16, 2)
    network.eval()
    outputs = []
    for domain in ("source", "target", "source"):
        select_domain(network, domain)
        outputs.append(network(inputs)[0])
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.allclose(outputs[0], outputs[1])


def test_a_network_with_one_kind_of_statistics_is_left_alone():
    network = build(MARTINEZ).eval()
    inputs = torch.randn(6, 16, 2)
    before = network(inputs)[0]
    select_domain(network, "target")
    assert torch.equal(network(inputs)[0], before)


def test_unknown_domains_are_refused():
    with pytest.raises(ValueError, match="'h36m'"):
        select_domain(build(MARTINEZ), "h36m")


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, DomainBatchNorm1d])
def test_scale_and_shift_are_what_the_norm_does_in_evaluation(kind):
    torch.manual_seed(0)
    norm = kind(5).double()
    kinds = [norm] if isinstance(norm, nn.BatchNorm1d) else [norm.source, norm.target]
    for kind in kinds:
        kind.running_mean.normal_()
        kind.running_var.uniform_(0.5, 2)
    nn.init.normal_(kinds[0].weight)
    nn.init.normal_(kinds[0].bias)
    x = torch.randn(7, 5).double()
    for domain in ("source", "target"):
        select_domain(norm.eval(), domain)
        scale, shift = scale_and_shift(norm)
        torch.testing.assert_close(x * scale + shift, norm(x))
    kinds[-1].train()  # statistics alone, as `--test_bn` takes them
    assert scale_and_shift(norm) is None


def test_statistics_of_the_test_reach_every_norm_of_semgcn():
    network = build(SEMGCN | {"domain_bn": True}).eval()
    select_domain(network, "target")
    adapted = adapt_batchnorm(network, torch.randn(64, 16, 2), "cpu")
    norms = [module for module in adapted.modules() if isinstance(module, DomainBatchNorm1d)]
    assert norms
    assert all((norm.target.running_var != 1).any() for norm in norms)
