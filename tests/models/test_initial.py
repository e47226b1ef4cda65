"""`models.initial`: what the first and the last layer are changed to, and that nothing else is."""

import pytest
import torch

from common.geometry.skeleton import PARENTS
from models import build
from models.initial import GRAPH_SCALE, OUTPUT_SCALE, start_from_data, whitening_of
from models.sem_gcn import skeleton_adjacency

GENERATOR = torch.Generator().manual_seed(0)
MIXED = torch.linalg.qr(torch.randn(32, 32, generator=GENERATOR))[0] * torch.logspace(0, -1.5, 32)[:, None]
INPUTS_2D = (torch.randn(4000, 32, generator=GENERATOR) @ MIXED + 0.3).view(-1, 16, 2)
TARGETS_3D = torch.randn(4000, 16, 3, generator=GENERATOR) * 0.1 + torch.linspace(-0.5, 0.5, 48).view(16, 3)
TARGETS_3D = TARGETS_3D - TARGETS_3D[:, :1]


def network(name):
    torch.manual_seed(0)
    if name == "martinez":
        return build({"name": name, "hid_dim": 64, "dropout": 0.0})
    return build({"name": name, "adjacency": skeleton_adjacency(PARENTS).tolist(), "hid_dim": 16, "dropout": None})


def test_whitened_inputs_have_covariance_one():
    rows = INPUTS_2D.flatten(1)
    mean, whitening = whitening_of(rows)
    white = (rows - mean).double() @ whitening.double()
    assert torch.allclose(mean, rows.mean(0), atol=1e-5)
    assert torch.allclose(white.T @ white / len(white), torch.eye(32, dtype=torch.float64), atol=0.02)
    assert torch.allclose(whitening, whitening.T)  # the symmetric root: which way an eigenvector points is the library's whim


def test_directions_without_variance_are_not_amplified_without_bound():
    rows = INPUTS_2D.flatten(1).clone()
    rows[:, 5] = rows[:, 4]  # follows from another
    _, whitening = whitening_of(rows)
    largest = float(torch.linalg.eigvalsh(torch.cov(rows.double().T)).amax())
    assert torch.isfinite(whitening).all()
    assert float(torch.linalg.eigvalsh(whitening.double()).amax()) == pytest.approx((1e-6 * largest) ** -0.5, rel=0.01)


def test_martinez_sees_white_inputs_and_begins_at_the_mean_pose():
    plain, begun = network("martinez"), network("martinez")
    start_from_data(begun, INPUTS_2D, TARGETS_3D, whiten=True)
    mean, whitening = whitening_of(INPUTS_2D.flatten(1))
    white = ((INPUTS_2D.flatten(1) - mean) @ whitening).view_as(INPUTS_2D)
    first = begun.input[0](INPUTS_2D.flatten(1))
    assert torch.allclose(first, plain.input[0](white.flatten(1)), atol=1e-3)
    poses, _ = begun(INPUTS_2D)
    expected = plain(white)[0] - torch.cat([torch.zeros(1, 3), plain.output.bias.view(15, 3)])
    assert torch.allclose(poses, OUTPUT_SCALE * expected + TARGETS_3D.mean(0), atol=2e-3)
    errors = [float((net(INPUTS_2D)[0].detach() - TARGETS_3D).norm(dim=-1).mean()) for net in (plain, begun)]
    assert errors[1] < errors[0] / 3
    same = dict(plain.named_parameters())
    changed = {name for name, value in begun.named_parameters() if not torch.equal(value, same[name])}
    assert changed == {"input.0.weight", "input.0.bias", "output.weight", "output.bias"}


def test_martinez_begins_at_the_mean_pose_without_whitening():
    plain, begun = network("martinez"), network("martinez")
    start_from_data(begun, INPUTS_2D, TARGETS_3D)
    expected = plain(INPUTS_2D)[0] - torch.cat([torch.zeros(1, 3), plain.output.bias.view(15, 3)])
    assert torch.allclose(begun(INPUTS_2D)[0], OUTPUT_SCALE * expected + TARGETS_3D.mean(0), atol=1e-4)
    same = dict(plain.named_parameters())
    assert {name for name, value in begun.named_parameters() if not torch.equal(value, same[name])} == {
        "output.weight", "output.bias"
    }  # fmt: skip


@pytest.mark.parametrize("whiten", [False, True])
def test_semgcn_begins_with_small_poses(whiten):
    plain, begun = network("semgcn"), network("semgcn")
    start_from_data(begun, INPUTS_2D, TARGETS_3D, whiten)
    # The hidden layers' scale is undone by their BatchNorms, up to what keeps those from dividing by nothing.
    poses, expected = (net.train()(INPUTS_2D)[0].detach() for net in (begun, plain))
    assert torch.allclose(poses, OUTPUT_SCALE * expected, atol=0.02 * float(poses.abs().max()))
    same = dict(plain.named_parameters())
    changed = {name: value / same[name] for name, value in begun.named_parameters() if not torch.equal(value, same[name])}
    assert torch.allclose(changed.pop("output.weight"), torch.tensor(OUTPUT_SCALE))
    assert len(changed) > 2
    for name, ratio in changed.items():
        assert name.endswith("conv.weight"), name
        assert torch.allclose(ratio, torch.tensor(GRAPH_SCALE)), name
