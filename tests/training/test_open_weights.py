"""Weights that are passed on: read by whatever reads a checkpoint, and refused in one line where they are damaged."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from common.errors import DuaError
from common.training import open_weights
from common.training.checkpoint import FORMAT, checkpoint_file, load_checkpoint, rebuild_networks, save_checkpoint, skeleton_entry
from common.training.open_weights import write_open_weights
from models import build


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    descriptions = {
        "lifter": {"name": "martinez", "num_joints": 16, "hid_dim": 24, "num_layers": 1, "dropout": 0.1},
        "uncertainty": {"name": "uncertainty", "feature_size": 24, "num_joints": 16},
        "to_detector": {"name": "converter", "num_joints": 16, "architecture": "map"},
    }
    networks = {role: build(description) for role, description in descriptions.items()}
    networks["to_detector"].whiten(torch.randn(50, 45))
    path = tmp_path_factory.mktemp("run") / "ckpt_best.pth.tar"
    save_checkpoint(
        path,
        {
            "experiment": "open",
            "networks": descriptions,
            "weights": {role: network.state_dict() for role, network in networks.items()},
            "skeleton": skeleton_entry("h36m"),
            "source": "people",
            "target": None,
            "keypoints": "detector",
            "selection": "source validation",
            "training": {"epoch": 3, "optimizer": {}},
            "arguments": {"align": ["canonical"], "scale": "spread", "seed": 0},
        },
    )
    return load_checkpoint(path)


def test_they_are_a_checkpoint_without_its_training(checkpoint, tmp_path):
    path = tmp_path / "small.safetensors"
    write_open_weights(path, checkpoint)
    read = load_checkpoint(path)
    assert read["format"] == FORMAT
    assert read["training"] == {"epoch": 3}
    for entry in ("experiment", "networks", "skeleton", "keypoints", "arguments"):
        assert read[entry] == checkpoint[entry]
    x = torch.randn(50, 16, 2)
    with torch.no_grad():
        (one, _), (two, _) = (rebuild_networks(of, path)["lifter"](x) for of in (checkpoint, read))
    assert 0 < (one - two).abs().max() < 0.02 * one.abs().max()  # matrices were rounded to float16
    for name, tensor in checkpoint["weights"]["to_detector"].items():  # in a whitened map large numbers cancel
        assert torch.equal(read["weights"]["to_detector"][name], tensor)
    assert path.stat().st_size < 2.2 * open_weights.size_of(checkpoint) + 8000


def test_open_names_them(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(open_weights, "FOLDER", tmp_path)
    with pytest.raises(DuaError, match="git checkout checkpoint/open"):
        checkpoint_file("open", "ckpt_best.pth.tar")
    for network in ("martinez", "semgcn"):
        write_open_weights(tmp_path / f"{network}.safetensors", checkpoint)
    assert checkpoint_file("open", "ckpt_best.pth.tar") == tmp_path / "martinez.safetensors"
    assert checkpoint_file("open/semgcn", "ckpt_best.pth.tar") == tmp_path / "semgcn.safetensors"
    with pytest.raises(DuaError, match="there are: open/martinez, open/semgcn"):
        checkpoint_file("open/hourglass", "ckpt_best.pth.tar")


@pytest.mark.parametrize("size", [0, 5, 100, -1, -4000])
def test_a_cut_file_is_refused_in_one_line(checkpoint, tmp_path, size):
    path = tmp_path / "small.safetensors"
    write_open_weights(path, checkpoint)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DuaError, match="cut short, damaged, or no safetensors file") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_weights_of_others_and_of_other_shapes_are_refused(checkpoint, tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(DuaError, match="another project"):
        load_checkpoint(tmp_path / "other.safetensors")
    wider = checkpoint["networks"] | {"lifter": checkpoint["networks"]["lifter"] | {"hid_dim": 25}}
    write_open_weights(tmp_path / "wider.safetensors", checkpoint | {"networks": wider})
    with pytest.raises(DuaError, match="the weights of 'lifter' do not fit"):
        rebuild_networks(load_checkpoint(tmp_path / "wider.safetensors"), tmp_path / "wider.safetensors")
    save_file(
        {"lifter.weight": torch.zeros(3)}, tmp_path / "half.safetensors", metadata={"dua": json.dumps({"networks": ["lifter"]})}
    )
    with pytest.raises(DuaError, match="is not a 'dua checkpoint 1' file"):
        load_checkpoint(tmp_path / "half.safetensors")
    save_file({"lifter.weight": torch.zeros(3)}, tmp_path / "words.safetensors", metadata={"dua": "[[[[" * 10})
    with pytest.raises(DuaError, match="do not fit its networks"):
        load_checkpoint(tmp_path / "words.safetensors")


def test_a_torch_file_of_that_name_is_refused(checkpoint, tmp_path):
    path = tmp_path / "torch.safetensors"
    save_checkpoint(tmp_path / "a.pth.tar", checkpoint)
    shutil.copy(tmp_path / "a.pth.tar", path)
    with pytest.raises(DuaError, match="no safetensors file"):
        load_checkpoint(path)
