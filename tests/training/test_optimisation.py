"""A step of training: its learning rate, its precision, averaged weights, and numbers that are not finite."""

import argparse
import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from common.compute.device import autocast, choose_precision, has_bfloat16
from common.datasets.batches import ShuffledBatches
from common.errors import DuaError
from common.training.checkpoint import load_checkpoint
from common.training.optimisation import Adam, Average, NotFinite, Optimisation, check_compiler
from common.training.schedule import learning_rate
from models.martinez import Martinez
from tests.conftest import run_script
from tests.helpers.script_tools import QUICK, SMALL, assert_one_line, assert_same_bits, only_run, run_here, weights

CPU = torch.device("cpu")


def options(**changes):
    given = {
        "lr": 1e-3, "lr_gamma": 0.96, "lr_decay": 100_000, "schedule": "published", "lr_fall": "cosine", "precision": "float32", "compile": False,
        "on_nan": "stop", "max_norm": True,
    }  # fmt: skip
    return argparse.Namespace(**given | changes)


def small_problem(wrong_at=None, wrong=math.nan):
    """A network, its loss, and batches; the loss of the step `wrong_at` is `wrong`."""
    torch.manual_seed(0)
    network = Martinez(hid_dim=8, num_layers=1)
    inputs = torch.randn(256, 16, 2)
    batches = ShuffledBatches(inputs, inputs.sum(dim=2, keepdim=True).expand(-1, -1, 3), batch_size=32, seed=0)

    def loss(batch, step):
        poses_3d, _ = network(batch[0])
        error = (poses_3d - batch[1])[:, 1:].abs().mean()
        return {"loss": error * wrong if step == wrong_at else error, "mpjpe": error.detach()}

    return network, loss, batches


def test_the_published_rate_decays_by_the_step_and_the_fast_one_rises_and_falls_to_nothing():
    published = options(lr=2e-3, lr_decay=10)
    assert learning_rate(published, 0, 100) == 2e-3
    assert learning_rate(published, 20, 100) == pytest.approx(2e-3 * 0.96**2)
    fast = [learning_rate(options(schedule="fast", lr=2e-3), step, 200) for step in range(200)]
    assert max(fast) == fast[9] == 2e-3
    assert all(a < b for a, b in itertools.pairwise(fast[:10])), "it rises for a twentieth of the run"
    assert all(a > b for a, b in itertools.pairwise(fast[10:]))
    assert fast[105] == pytest.approx(1e-3, rel=0.01)
    assert fast[-1] < 1e-6
    line = [learning_rate(options(schedule="fast", lr=2e-3, lr_fall="linear"), step, 200) for step in range(200)]
    assert line[:11] == fast[:11]
    assert np.diff(line[10:]) == pytest.approx(-2e-3 / 190)
    assert line[-1] == pytest.approx(2e-3 / 190)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_step_that_is_not_finite_stops_before_it_touches_a_weight(wrong):
    network, loss, batches = small_problem(wrong_at=3, wrong=wrong)
    steps = Optimisation({"lifter": network}, loss, options(), CPU, total_steps=8)
    *good, bad = itertools.islice(batches.epoch(0), 4)
    for batch in good:
        steps.step(batch)
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    with pytest.raises(NotFinite) as stopped:
        steps.step(bad)
    assert stopped.value.step == 4, "counted from 1, as the log counts"
    assert all(torch.equal(before[name], tensor) for name, tensor in network.named_parameters())


def test_adam_is_torchs_own_to_the_bit_and_goes_on_from_its_state():
    def trained(kind, steps, state=None, weights=None):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
        if weights:
            network.load_state_dict(weights)
        optimizer = kind(network.parameters(), lr=1e-2, fused=True)
        if state:
            optimizer.load_state_dict(state)
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            network(torch.linspace(-1, 1, 200).view(40, 5)).square().mean().backward()
            optimizer.step()
        return copy.deepcopy(network.state_dict()), copy.deepcopy(optimizer.state_dict())

    whole, _ = trained(torch.optim.Adam, 8)
    for first, second in ((Adam, Adam), (Adam, torch.optim.Adam), (torch.optim.Adam, Adam)):
        weights, state = trained(first, 5)
        found, _ = trained(second, 3, state, weights)
        assert all(torch.equal(found[name], value) for name, value in whole.items())
    assert not torch.equal(trained(Adam, 7)[0]["0.weight"], whole["0.weight"])


def test_a_gradient_alone_can_be_what_is_not_finite():
    network, _, batches = small_problem()

    def loss(batch, step):
        poses_3d, _ = network(batch[0])
        return {"loss": torch.sqrt((poses_3d * 0).abs()).mean()}  # 0, of slope infinity times 0

    with pytest.raises(NotFinite):
        Optimisation({"lifter": network}, loss, options(), CPU, total_steps=8).step(next(batches.epoch(0)))


def test_a_skipped_batch_leaves_no_trace():
    """Neither in weights, nor in BatchNorm's statistics, nor in Adam's: the run goes on as if the batch had not been drawn."""
    network, loss, batches = small_problem(wrong_at=3)
    steps = Optimisation({"lifter": network}, loss, options(on_nan="skip", lr_decay=10**9), CPU, total_steps=8)
    network.blocks[0].layers[3].p = network.blocks[0].layers[7].p = network.input[3].p = 0.0  # a skipped batch draws dropout
    results = [steps.step(batch) for batch in batches.epoch(0)]
    assert [result is None for result in results] == [step == 3 for step in range(8)]
    assert steps.skipped == 1

    other, loss, batches = small_problem()
    without = Optimisation({"lifter": other}, loss, options(lr_decay=10**9), CPU, total_steps=8)
    other.blocks[0].layers[3].p = other.blocks[0].layers[7].p = other.input[3].p = 0.0
    for step, batch in enumerate(batches.epoch(0)):
        if step != 3:
            without.step(batch)
    for name, tensor in network.state_dict().items():
        assert torch.allclose(tensor, other.state_dict()[name], atol=1e-7), name


def test_a_gpu_is_not_waited_for_and_the_first_bad_step_is_named_all_the_same():
    """The branch for other devices, on the CPU: nothing in it needs one."""
    network, loss, batches = small_problem(wrong_at=2)
    steps = Optimisation({"lifter": network}, loss, options(), CPU, total_steps=8)
    steps.device = torch.device("cuda")
    for batch in batches.epoch(0):
        steps.step(batch)
    with pytest.raises(NotFinite) as stopped:
        steps.check()
    assert stopped.value.step == 3
    steps.check()  # what was reported is not reported again


def test_clipping_is_torchs_own():
    results = []
    for mine in (True, False):
        network, loss, batches = small_problem()
        factors = itertools.cycle((1e-3, 1e3))  # gradients below the limit, and above it

        def scaled(batch, step, loss=loss, factors=factors):
            factor = next(factors)
            return {name: value * factor for name, value in loss(batch, step).items()}

        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        steps = Optimisation({"lifter": network}, scaled, options(lr_gamma=1.0), CPU, total_steps=8)
        torch.manual_seed(1)
        for step, batch in enumerate(batches.epoch(0)):
            if mine:
                steps.step(batch)
            else:
                optimiser.zero_grad()
                scaled(batch, step)["loss"].backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
        results.append(network.state_dict())
    assert all(torch.equal(tensor, results[1][name]) for name, tensor in results[0].items()), "to the bit"


@pytest.mark.parametrize(("total", "slowest"), [(100_000, 0.998), (1000, 0.95), (40, 0.0)])
def test_the_average_is_the_mean_of_the_weights_that_it_saw(total, slowest):
    network = nn.Linear(1, 1, bias=False)
    average = Average(network, total)
    seen = [float(network.weight.detach())]
    for step in range(1, 40):
        with torch.no_grad():
            network.weight += 1
        average.update(step)
        decay = min(slowest, (1 + step) / (10 + step))
        seen.append(decay * seen[-1] + (1 - decay) * float(network.weight.detach()))
    live = float(network.weight.detach())
    with pytest.raises(RuntimeError):
        average.raw_state()
    with average.in_place():
        assert float(network.weight.detach()) == pytest.approx(seen[-1], rel=1e-5)
        assert average.raw_state()[0].item() == live
    assert float(network.weight.detach()) == live


def test_precision_is_a_matter_of_the_product_not_of_the_weights():
    assert choose_precision("auto", CPU) == ("bfloat16" if has_bfloat16(CPU) else "float32")
    with pytest.raises(DuaError, match="tf32"):
        choose_precision("tf32", CPU)
    network, inputs = Martinez(hid_dim=64).eval(), torch.randn(64, 16, 2)
    exact, _ = network(inputs)
    with autocast(CPU, "bfloat16"):
        rounded, _ = network(inputs)
    assert rounded.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    error = (rounded.float() - exact).norm() / exact.norm()
    assert 1e-4 < error < 0.03


def test_a_fast_run_resumes_to_the_same_bits_and_is_laid_over_its_epochs(demo, tmp_path):
    """Averaged weights are what is kept and tested; the raw ones, which training goes on with, lie beside them."""
    given = ("--data_dir", demo, *SMALL, "--schedule", "fast", "--epochs", 3, "--snapshot", 1, "--epoch_share", 0.2)
    process = run_here("main_prob.py", "--checkpoint", tmp_path / "whole", *given)
    assert process.returncode == 0, process.stderr
    run = only_run(tmp_path / "whole")
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "snapshot.pth.tar").write_bytes((run / "snapshot_epoch_1.pth.tar").read_bytes())
    refused = run_here("main_prob.py", "--resume", copy / "snapshot.pth.tar", "--epochs", 4)
    assert_one_line(refused, "--epochs 4", "3")
    resumed = run_here("main_prob.py", "--resume", copy / "snapshot.pth.tar")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_bits(run / "ckpt_last.pth.tar", copy / "ckpt_last.pth.tar")
    last = load_checkpoint(run / "ckpt_last.pth.tar")
    assert last["arguments"]["precision"] == choose_precision("auto", CPU)
    raw = last["training"]["raw"]
    kept = [tensor for name, tensor in weights(run / "ckpt_last.pth.tar").items() if tensor.is_floating_point()]
    assert sum(not torch.equal(a, b) for a, b in zip(kept, raw, strict=True)) > 5


def test_fast_stands_for_options_that_can_be_given(demo, tmp_path):
    process = run_here(
        "main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path, "--schedule", "fast", *QUICK, "--precision", "float32"
    )
    assert process.returncode == 0, process.stderr
    arguments = load_checkpoint(only_run(tmp_path) / "ckpt_last.pth.tar")["arguments"]
    assert (arguments["batch_size"], arguments["epochs"], arguments["precision"]) == (64, 1, "float32")
    assert arguments["lr"] != 1e-3, "what was not given is the schedule's"


def test_divergence_names_step_batch_and_the_last_good_checkpoint(demo, tmp_path):
    process = run_here("main_prob.py", "--data_dir", demo, "--checkpoint", tmp_path, *QUICK)
    run = only_run(tmp_path)
    checkpoint = load_checkpoint(run / "ckpt_last.pth.tar")
    checkpoint["arguments"]["lr"] = checkpoint["training"]["optimizer"]["param_groups"][0]["lr"] = 1e38
    torch.save(checkpoint, run / "ckpt_last.pth.tar")
    good = (run / "ckpt_last.pth.tar").read_bytes()
    process = run_here("main_prob.py", "--resume", run, "--epochs", 3)
    assert_one_line(
        process, "epoch 2, batch", "of the run", f"the last good checkpoint is {run / 'ckpt_last.pth.tar'}", "--on_nan skip"
    )
    assert (run / "ckpt_last.pth.tar").read_bytes() == good
    process = run_here("main_prob.py", "--resume", run, "--epochs", 3, "--on_nan", "skip")
    assert_one_line(process, "batches were skipped", str(run / "ckpt_last.pth.tar"))
    assert (run / "ckpt_last.pth.tar").read_bytes() == good


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: lambda x: 1 / 0)
    with pytest.raises(DuaError, match=r"--compile: torch cannot compile for cpu .*leave it out"):
        check_compiler(CPU)


def test_compiled_networks_learn_the_same():
    losses = []
    for compiled in (False, True):
        network, loss, batches = small_problem()
        network.blocks[0].layers[3].p = network.blocks[0].layers[7].p = network.input[3].p = 0.0  # drawn otherwise where compiled
        steps = Optimisation({"lifter": network}, loss, options(compile=compiled), CPU, total_steps=8)
        losses.append([float(steps.step(batch)["loss"]) for batch in batches.epoch(0)])
    torch.compiler.reset()
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("extra", [(), ("--compile",), ("--precision", "bfloat16"), ("--precision", "tf32")], ids=str)
def test_a_gpu_trains_and_resumes(demo, tmp_path, extra):
    given = ("--data_dir", demo, "--device", "cuda", "--hid_dim", 256, "--batch_size", 256, "--epochs", 2, *extra)
    process = run_script("main_prob.py", *given, "--checkpoint", tmp_path)
    assert process.returncode == 0, process.stderr
    history = load_checkpoint(only_run(tmp_path) / "ckpt_last.pth.tar")["training"]["history"]
    assert history[1]["val_mpjpe_mm"] < history[0]["val_mpjpe_mm"] < 300
    resumed = run_script("main_prob.py", "--resume", only_run(tmp_path), "--epochs", 3)
    assert resumed.returncode == 0, resumed.stderr
