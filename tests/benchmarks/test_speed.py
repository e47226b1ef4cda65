"""`benchmarks/speed.py`: what it compares computes the same, and it runs."""

import argparse
import copy
import csv
import json

import pytest
import torch
from torch import nn

from benchmarks.published_networks import as_published
from benchmarks.speed import start
from benchmarks.speed_ways import NETWORKS, Setting, floor, new_networks, ours, published, random_poses
from tests.helpers.script_tools import assert_one_line, run_here

CPU = torch.device("cpu")
SMALL = ("--hid_dim", "32", "--dropout", "0")


def used_networks(network):
    """In which no parameter or running average stands at its first value."""
    networks = new_networks(network, CPU, *SMALL)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in networks.values():
            for parameter in module.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
            for norm in module.modules():
                if isinstance(norm, nn.BatchNorm1d):
                    norm.running_mean.normal_(generator=generator)
                    norm.running_var.uniform_(0.5, 2, generator=generator)
    return networks


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("network", list(NETWORKS))
def test_the_transcription_computes_what_our_networks_do(network, training):
    """In double precision: in training, normalised features make much of a float's last digits."""
    networks = used_networks(network)
    lifter, estimator = as_published(networks)
    for module in (lifter, estimator, *networks.values()):
        module.double().train(training)
    inputs_2d = random_poses(40).inputs_2d.double()
    poses_3d, features = networks["lifter"](inputs_2d)
    expected_poses, expected_features = lifter(inputs_2d)
    torch.testing.assert_close(poses_3d, expected_poses, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(features, expected_features, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(networks["uncertainty"](features), estimator(expected_features), rtol=1e-9, atol=1e-10)
    assert poses_3d.abs().max() > 0.1  # not the agreement of two zeros
    sizes = [sum(parameter.numel() for parameter in module.parameters()) for module in (lifter, networks["lifter"])]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("network", list(NETWORKS))
def test_all_ways_have_the_same_loss_curve_and_errors(network):
    """Every epoch is one batch of all poses, so that no order matters."""
    networks, poses = new_networks(network, CPU, *SMALL), random_poses(24)
    settings = [Setting(network, copy.deepcopy(networks), poses, poses, len(poses), CPU) for _ in range(3)]
    ways = published(settings[0], workers=0), ours(settings[1]), floor(settings[2])
    curves = torch.tensor([[way.train(1) for _ in range(6)] for way in ways[:2]])
    torch.testing.assert_close(curves[0], curves[1], rtol=1e-3, atol=0)  # the last digits of the first steps grow
    assert curves[0, 5] < curves[0, 0]
    # The floor clips no gradient: the same function at the first step, its own way from there.
    assert ways[2].train(1) == pytest.approx(curves[0, 0].item(), rel=1e-5)

    fresh = [way(Setting(network, copy.deepcopy(networks), poses, poses, 8, CPU)) for way in (lambda s: published(s, 0), ours)]
    (count, *errors), (count_ours, *errors_ours) = (way.evaluate(3) for way in fresh)
    assert count == count_ours == 24
    assert errors == pytest.approx(errors_ours, rel=1e-5)
    assert errors[0] > errors[1] > 1


def test_the_loop_goes_on_over_the_end_of_an_epoch():
    poses = random_poses(25)
    setting = Setting("martinez", new_networks("martinez", CPU, *SMALL), poses, poses, 10, CPU)
    assert ours(setting).train(5) > 0


@pytest.mark.parametrize("networks", [["martinez"], pytest.param(list(NETWORKS), marks=pytest.mark.campaign)])
def test_it_measures_and_writes(demo, tmp_path, networks):
    process = run_here(
        "benchmarks/speed.py", "--quick", "--measures", "rates", "--data_dir", demo, "--out", tmp_path, "--workers", 0,
        "--precision", "bfloat16", "--networks", *networks,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    results = json.loads((tmp_path / "speed.json").read_text())["results"]
    assert [(result["network"], result["measure"]) for result in results] == [
        (network, measure) for network in networks for measure in ("training", "evaluation")
    ]
    assert all(result[way] > 0 for result in results for way in ("published", "ours", "floor"))
    assert (tmp_path / "table.txt").read_text().strip() == process.stdout.strip()
    table = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [(row["network"], int(row["batch"]), row["measure"]) for row in table] == [
        (result["network"], result["batch_size"], result["measure"]) for result in results
    ]
    assert all(float(row["ours"]) > 0 for row in table)
    assert "ours in bfloat16" in process.stdout
    assert "forward: 8.6 MFLOP a pose" in process.stdout  # Martinez: (32 + 4 * 1024 + 45 + 15) * 1024 products, twice


def test_a_training_script_says_when_its_first_step_is_done(demo):
    args = argparse.Namespace(data_dir=str(demo), threads=1)
    found = start("ours", "martinez", 64, CPU, args)
    assert 0.1 < found["first_step_s"] < 300
    assert 50 < found["peak_mb"] < 10_000


def test_impossible_settings_are_refused(demo):
    assert_one_line(run_here("benchmarks/speed.py", "--batch_sizes", 1, "--data_dir", demo), "--batch_sizes")
    assert_one_line(run_here("benchmarks/speed.py", "--batch_sizes", 10**7, "--data_dir", demo), "training poses")
