"""`benchmarks/oracle.py`: the published protocol, which says of itself that it is none of adaptation."""

import argparse
import json
import sys

import pytest
import torch
from torch import nn

from benchmarks import oracle
from benchmarks.oracle import NAME, PublishedUncertainty
from common.errors import DuaError
from common.evaluation.losses import relative_error
from common.evaluation.tables import RAW
from tests.conftest import run_script
from tests.helpers.script_tools import QUICK, assert_one_line, only_run, run_here

SCRIPT = "benchmarks/oracle.py"


class Guess(nn.Module):
    def forward(self, features):
        return features[:, :16]


@pytest.mark.parametrize(("network", "reaches"), [("martinez", True), ("semgcn", False)])
def test_the_target_s_labels_are_in_the_loss_and_for_martinez_reach_the_poses(network, reaches):
    generator = torch.Generator().manual_seed(0)
    poses, targets = torch.randn(2, 5, 16, 3, generator=generator)
    features = torch.rand(5, 20, generator=generator).requires_grad_()
    poses.requires_grad_()
    term = PublishedUncertainty(Guess(), argparse.Namespace(network=network, uncertainty_weight=0.5))
    found = term(poses, features, (torch.empty(5, 16, 2), targets), 0)
    expected = (features[:, 1:16] - relative_error(poses, targets)[:, 1:]).abs().mean()
    torch.testing.assert_close(found["loss"], 0.5 * expected)
    found["loss"].backward()
    assert features.grad[:, 1:16].abs().sum() > 0
    assert (poses.grad is not None and bool(poses.grad.abs().sum() > 0)) == reaches


@pytest.mark.campaign
@pytest.mark.parametrize("source", ["surreal", "h36m"])
def test_every_result_says_what_it_is(demo, converter, tmp_path, source):
    process = run_script(
        SCRIPT,
        "--source",
        source,
        "--data_dir",
        demo,
        "--converter",
        converter,
        "--checkpoint",
        tmp_path,
        *QUICK,
        "--device",
        "cpu",
    )
    assert process.returncode == 0, process.stderr
    assert NAME in process.stdout
    results = json.loads((only_run(tmp_path) / "results.json").read_text())
    assert results["selection"] == "oracle selection (target labels)"
    assert {results["source"].split()[0], results["target"].split()[0]} == {"surreal", "h36m"}
    assert list(results["also"]) == ([] if source == "surreal" else [RAW])
    again = run_script(SCRIPT, "--evaluate", only_run(tmp_path), "--data_dir", demo)
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--no_uncertainty"], "DUA's three modules"),
        (["--align", "canonical", "--augment"], "--align, --augment"),
        (["--actions", "Walking"], "--actions"),
        (["--select", "last"], "--select last"),
    ],
)
def test_what_the_protocol_does_not_have_is_refused(demo, options, names):
    assert_one_line(run_here(SCRIPT, "--data_dir", demo, *options), names)


def test_the_labels_have_the_shoulders_that_are_asked_for(demo, monkeypatch):
    read = []

    def load(data_dir, split, smpl_shoulders, downsample, *, keypoints):
        read.append((split, smpl_shoulders, keypoints))
        raise DuaError("read enough")

    monkeypatch.setattr(oracle, "load_surreal", load)
    monkeypatch.setattr(oracle, "find_or_train_converter", lambda *_: (nn.Identity(), {}))
    monkeypatch.setattr(sys, "argv", [SCRIPT, "--data_dir", str(demo), "--smpl_shoulders", "collar", "--device", "cpu"])
    with pytest.raises(DuaError, match="read enough"):
        oracle.main()
    assert read == [("test", "collar", "gt")]
