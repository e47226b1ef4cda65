"""Which joints are projected: a converter run backwards, and `--target_joints`."""

import copy
import json

import pytest
import torch

from common.adaptation.augment import Views
from common.adaptation.converter import convert_labels
from common.adaptation.target_views import TargetViews
from common.datasets.poses import split_validation
from common.datasets.surreal import load_surreal
from common.datasets.views import AS_IT_IS, project, screen_intrinsics
from common.geometry.bones import bone_lengths
from common.geometry.joints_in_2d import BackToInputs
from common.training.checkpoint import load_checkpoint, rebuild_networks
from common.uncertainty.consistency import distance_from_rays
from common.uncertainty.shown import shown_test, source_validation
from models.pose_converter import PoseConverter
from tests.adaptation.test_beyond import OFF, adapt
from tests.adaptation.test_target_views import COUNT, Told
from tests.helpers.script_tools import QUICK, assert_one_line, assert_resumes_to_the_same_bits, attempt

ALONE = ("--no_uncertainty", "--no_domain", "--target_joints")
LENS = torch.tensor([[2.3, 2.3, 0.0, 0.0]])


def network_of(checkpoint, path):
    return rebuild_networks(checkpoint, path)["converter"]


@pytest.fixture(scope="module")
def network(converter):
    return network_of(load_checkpoint(converter / "ckpt_best.pth.tar"), converter)


@pytest.fixture(scope="module")
def learnt(demo, network):
    """SURREAL's poses in Human3.6M's skeleton, and as they are."""
    poses = load_surreal(demo, "test", downsample=20).targets_3d
    with torch.no_grad():
        return network.convert(poses), poses


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_converter_of_axes_is_undone_too():
    torch.manual_seed(0)
    vectors = torch.randn(500, 45) * 0.3
    network = PoseConverter(16, "map")
    network.whiten(vectors)
    with torch.no_grad():
        network.weight.normal_(std=0.01)
        network.bias.normal_(std=0.02)
        made = network(vectors)
    assert (made - vectors).abs().mean() > 0.01
    torch.testing.assert_close(BackToInputs.of(network).layer(made), vectors, atol=5e-3, rtol=0)  # of any size


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_poses_on_the_processor_meet_a_converter_on_the_gpu(network, learnt):
    """Validation poses are projected before they are moved."""
    back = BackToInputs.of(copy.deepcopy(network).to("cuda"))
    found = back(learnt[0])
    assert found.device == learnt[0].device
    torch.testing.assert_close(found, BackToInputs.of(network)(learnt[0]), atol=1e-4, rtol=0)


def test_a_body_twice_as_large_is_found_twice_as_large(network, learnt):
    """Otherwise what all bodies have in common would tell in a picture how large one is."""
    labels, of_smpl = learnt
    back = BackToInputs.of(network)
    torch.testing.assert_close(back(2 * labels), 2 * back(labels), atol=1e-5, rtol=0)
    assert (back(labels) - of_smpl).norm(dim=-1).mean() < 0.008
    lengths = bone_lengths(labels).sum(1)
    assert back.size == pytest.approx(float(lengths.mean()), rel=0.05)


def test_source_poses_are_seen_by_the_target_s_joints_and_keep_their_labels(network, learnt):
    labels, of_smpl = learnt
    roots, up, lenses = torch.tensor([[0.3, 0.1, 5.0]]), torch.tensor([[0.0, -1.0, 0.0]]), LENS.expand(len(labels), 4)
    batch = (torch.zeros(len(labels), 16, 2), labels, roots.expand(len(labels), 3), up.expand(len(labels), 3), lenses)
    inputs, targets = Views(False, False, False, (), in_2d=BackToInputs.of(network)).see(batch, generator())
    assert torch.equal(targets, labels)
    seen = project(of_smpl, roots, LENS)
    found, before = ((of - seen).norm(dim=-1).mean() for of in (inputs, project(labels, roots, LENS)))
    assert found < before / 3


def test_what_follows_the_target_is_placed_by_its_joints(network, learnt):
    """Of a network that predicts the truth: without, poses of other joints stand elsewhere."""
    labels, of_smpl = (poses[:COUNT] for poses in learnt)
    root = torch.tensor([[0.2, -0.1, 6.0]])
    inputs, lenses = project(of_smpl, root, LENS), LENS.expand(COUNT, 4)
    errors = []
    for given in ({}, {"in_2d": BackToInputs.of(network)}):
        views = TargetViews.of({"lifter": Told(labels.clone())}, inputs, lenses, AS_IT_IS, **given)
        views.look()
        kept = views.pool.kept
        assert kept.sum() > COUNT / 2
        places = views.pool.roots * bone_lengths(labels).sum(1)[:, None]
        errors.append((places - root)[kept].norm(dim=-1).mean())
    assert errors[1] < errors[0] / 2


def test_it_works_alone_and_goes_on_to_the_same_bits(demo, converter, tmp_path):
    options = ("--converter", converter, *ALONE, "--epochs", 2, "--snapshot", 1)
    run, process = adapt(demo, tmp_path / "runs", *options, source="h36m")
    results = json.loads((run / "results.json").read_text())
    assert results["modules"] == ["converter", "target_joints"]
    assert "source poses are seen anew: by the target's joints" in process.stdout
    assert_resumes_to_the_same_bits("train_h36m_dan.py", run, "snapshot_epoch_1.pth.tar", tmp_path)
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    networks = rebuild_networks(checkpoint, run)
    views, filmed = (
        source_validation(
            run, {**checkpoint, "arguments": checkpoint["arguments"] | {"target_joints": on}}, networks, str(demo), 40
        )
        for on in (True, False)
    )
    assert torch.equal(views.poses.targets_3d, filmed.poses.targets_3d)
    assert (views.poses.inputs_2d - filmed.poses.inputs_2d).abs().mean() > 0.003
    # What the 2D shows of the labels is known, here, as filmed and of SURREAL's test.
    labelled = convert_labels(load_surreal(demo, "test", downsample=40), networks["converter"])
    for shown, off in ((views, 1e-4), (filmed, 1e-3), (shown_test(checkpoint, labelled), 0.012)):
        assert distance_from_rays(shown.in_2d(networks)(shown.poses.targets_3d), shown.rays).mean() < off
    assert distance_from_rays(labelled.targets_3d, shown.rays).mean() > 0.02


def test_surreal_is_seen_as_its_labels_were_converted(demo, converter, tmp_path):
    """Alone; where labels are projected for other reasons, they are so anyway, and it is refused."""
    run, process = adapt(demo, tmp_path, "--converter", converter, *ALONE, source="surreal")
    assert "source poses are seen anew: as their labels are" in process.stdout
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    seen = source_validation(run, checkpoint, rebuild_networks(checkpoint, run), str(demo), 40)
    poses = convert_labels(split_validation(load_surreal(demo, "train", downsample=40))[1], network_of(checkpoint, run))
    torch.testing.assert_close(
        seen.poses.inputs_2d, project(poses.targets_3d, poses.roots_3d, screen_intrinsics(poses.sequences)), atol=1e-6, rtol=0
    )
    assert (seen.poses.inputs_2d - poses.inputs_2d).abs().mean() > 0.003
    networks = rebuild_networks(checkpoint, run)
    assert distance_from_rays(seen.in_2d(networks)(seen.poses.targets_3d), seen.rays).max() < 1e-4


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        (("train_h36m_dan.py",), (*OFF, "--target_joints"), "which --no_converter leaves out"),
        (("train_surreal.py", "--dua"), ("--target_joints", "--augment"), "in the target's joints, anyway"),
        (("train_surreal.py", "--no_dua"), ("--target_joints",), "of no use in domain"),
        (("train_h36m_dan.py",), ("--target_joints", "--keypoints", "cpn_ft_h36m_dbb"), "perfect 2D and no detector's"),
    ],
)
def test_what_it_cannot_do_is_said(demo, tmp_path, script, options, said):
    process = attempt(tmp_path, script[0], *script[1:], "--data_dir", demo, *QUICK, *options)
    assert_one_line(process, said)
