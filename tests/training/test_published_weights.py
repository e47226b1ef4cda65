"""Checkpoints of other projects: those of SemGCN's repository predict what its own code does, of the others it is said whose they are."""

import numpy as np
import pytest
import torch

from common.errors import DuaError
from common.prediction.lifter import load_lifter
from common.training.checkpoint import load_checkpoint
from tests.helpers.published_files import FORMATS, checkpoint, linear_model, run_linear_model, run_sem_gcn, sem_gcn, write

CPU = torch.device("cpu")
INPUTS = np.random.default_rng(5).uniform(-0.8, 0.8, (9, 16, 2))


def predicted(path):
    """In float64, so that what differs is the weights' place and no rounding."""
    network = load_lifter(path, CPU).networks["lifter"].double()
    with torch.no_grad():
        return network(torch.from_numpy(INPUTS))[0].numpy()


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("how", FORMATS)
def test_linear_model_predicts_what_it_was_published_to(tmp_path, how, prefix):
    state = linear_model()
    path = write(tmp_path / "ckpt_linear.pth.tar", checkpoint(state, prefix), how)
    expected = run_linear_model(state, INPUTS)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(predicted(path), expected, atol=1e-6)


@pytest.mark.parametrize("non_local", [None, "nonlocal", "non_local"])
@pytest.mark.parametrize("how", FORMATS)
def test_sem_gcn_predicts_what_it_was_published_to(tmp_path, how, non_local):
    state = sem_gcn(non_local=non_local)
    path = write(tmp_path / "ckpt_semgcn.pth.tar", checkpoint(state), how)
    expected = run_sem_gcn(state, INPUTS)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(predicted(path), expected, atol=1e-6)


@pytest.mark.parametrize(("stages", "width"), [(1, 16), (4, 20)])
def test_sizes_are_those_of_the_weights(tmp_path, stages, width):
    state = linear_model(width, stages)
    path = write(tmp_path / "a.pth.tar", checkpoint(state, key="model_pos"))  # PoseAug's name for them
    np.testing.assert_allclose(predicted(path), run_linear_model(state, INPUTS), atol=1e-6)
    description = load_checkpoint(path)["networks"]["lifter"]
    assert (description["num_layers"], description["hid_dim"]) == (stages, width)
    layers = 3 * stages
    state = sem_gcn(8, layers, "nonlocal")
    path = write(tmp_path / "b.pth.tar", state)  # a bare state dict
    np.testing.assert_allclose(predicted(path), run_sem_gcn(state, INPUTS), atol=1e-6)
    assert load_checkpoint(path)["networks"]["lifter"]["num_layers"] == layers


def test_what_is_taken_for_what_is_said_in_one_line(tmp_path, capsys):
    load_lifter(write(tmp_path / "ckpt_semgcn.pth.tar", checkpoint(sem_gcn(non_local="nonlocal"))), CPU)
    (line,) = capsys.readouterr().err.splitlines()
    for words in ("ckpt_semgcn.pth.tar", "SemGCN with non-local layers", "Human3.6M's sixteen joints in our order"):
        assert words in line


def video_pose_3d():
    weights = {"expand_conv.weight": torch.ones(4, 34, 3), "layers_conv.0.weight": torch.ones(4, 4, 3)}
    return {"epoch": 80, "lr": 1e-3, "random_state": np.random.RandomState(0), "optimizer": {}, "model_pos": weights}


@pytest.mark.parametrize("how", ["zip", "before zips"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (video_pose_3d(), "a checkpoint of VideoPose3D"),
        (video_pose_3d() | {"random_state": None}, "a checkpoint of VideoPose3D"),
        (checkpoint(linear_model(made=48), error="err"), "a checkpoint of 3d_pose_baseline_pytorch: .*standardised"),
        (
            checkpoint(linear_model(given=34, made=48)),
            "LinearModel .* of 34 inputs and 48 outputs; with sixteen joints it has 32 and.*45",
        ),
        (checkpoint(sem_gcn(edges=49)), "a SemGCN with a mask of 49 numbers a layer; with sixteen joints it is 46"),
        (
            checkpoint({"w1.weight": 3, "batch_norm1.weight": 3, "w2.weight": 3}),
            "SemGCN's repository, one of whose weights is no matrix",
        ),
    ],
)
def test_whose_it_is(tmp_path, how, content, words):
    path = write(tmp_path / "pretrained.bin", content, how)
    with pytest.raises(DuaError, match=f"pretrained.bin is .*{words}") as caught:
        load_checkpoint(path)
    assert "run code" not in str(caught.value)


def test_weights_that_are_not_all_there(tmp_path):
    state = linear_model()
    del state["linear_stages.1.batch_norm2.running_var"]
    with pytest.raises(DuaError, match=r"weights of 'lifter' do not fit its description"):
        load_lifter(write(tmp_path / "a.pth.tar", checkpoint(state)), CPU)


def test_what_is_of_no_known_project_is_refused_as_before(tmp_path):
    with pytest.raises(DuaError, match="is not a 'dua checkpoint 1' file"):
        load_checkpoint(write(tmp_path / "a.pth.tar", {"state_dict": {"conv1.weight": torch.ones(3)}}))
    unknown = {"model": {"a": torch.ones(1)}, "random": np.random.RandomState(0)}
    with pytest.raises(DuaError, match="neither a tensor nor a plain container"):
        load_checkpoint(write(tmp_path / "b.pth.tar", unknown))
