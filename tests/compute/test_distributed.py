"""A run that is shared by processes is the run of one process: step by step, in its files, and in how it ends."""

import copy
import functools
import os
import shutil
import signal
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from common.adaptation.dua import dua_descriptions, dua_loss
from common.adaptation.options import add_dua_arguments
from common.adaptation.reproject import BoneLengths, Reprojection
from common.adaptation.teacher import Teacher
from common.compute.device import choose_device, random_state, seed_everything
from common.compute.distributed import rank
from common.errors import DuaError
from common.evaluation.evaluate import predict
from common.training.arguments import parse_arguments, training_parser
from common.training.checkpoint import load_checkpoint
from common.training.networks import add_network_arguments
from common.training.optimisation import Optimisation
from models import build
from tests.helpers.process_tools import Processes, new_store
from tests.helpers.script_tools import QUICK, assert_one_line, assert_same_bits, only_run, run_here, start, wait_for, weights

BATCH, STEPS = 16, 4


@pytest.fixture(scope="module")
def processes():
    pool = Processes()
    yield pool
    pool.close()


def options(argv):
    parser = training_parser("", "checkpoint", 1)
    add_network_arguments(parser)
    add_dua_arguments(parser, in_domain=True)
    small = ("--hid_dim", 16, "--num_layers", 1, "--domain_hid_dim", 8, "--uncertainty_weight", 0.3, "--domain_weight", 0.5)
    return parse_arguments(parser, [str(word) for word in (*small, *argv)])


def batch(step, compares, adapts=False):
    generator = torch.Generator().manual_seed(step)
    inputs_s, inputs_t = torch.randn(2, BATCH, 16, 2, generator=generator) + 3  # far from 0: variances are small differences
    targets_s = torch.randn(BATCH, 16, 3, generator=generator)
    inputs_t = inputs_t * 2 + 1
    source = inputs_s, targets_s - targets_s[:, :1]
    if not adapts:
        return source + ((inputs_t,) if compares else ())
    rays = torch.cat([inputs_t / 20, torch.ones_like(inputs_t[..., :1])], dim=-1)
    return *source, inputs_t, torch.tensor([2.2, 2.3, 0.1, 0.2]).repeat(BATCH, 1), rays


def steps_of(argv, device="cpu"):
    """Gradients of the first step, the losses and weights of a few, and what is drawn next, of a small run with these options."""
    args = options((*argv, "--device", device))
    where = choose_device(device)
    seed_everything(0)
    networks = {role: build(description).to(where).train() for role, description in dua_descriptions(args).items()}
    on_target, teacher = [], None
    if args.teacher:
        averages = {role: copy.deepcopy(network).eval().requires_grad_(False) for role, network in networks.items()}
        teacher = Teacher(averages, networks, args.teacher_weight, args.teacher_decay, args.teacher_warmup, args.seed)
        bones = BoneLengths(torch.full((15,), 0.3), torch.full((15,), 0.02))
        on_target = [teacher, Reprojection(args.reproject_weight, bones, canonical=False)]
    optimisation = Optimisation(
        networks, lambda batch, step: dua_loss(args, networks, batch, step, on_target), args, where, STEPS
    )
    losses, gradients = [], {}
    for step in range(STEPS):
        whole = tuple(tensor.to(where) for tensor in batch(step, args.domain_on, bool(on_target)))
        losses.append({name: float(value) for name, value in (optimisation.step(whole) or {}).items()})
        if teacher:
            teacher.follow(step + 1)
        if not step:
            parameters = optimisation.objective.named_parameters()
            gradients = {name: parameter.grad.cpu().numpy().copy() for name, parameter in parameters}
    state = {name: value.cpu().numpy().copy() for name, value in optimisation.objective.state_dict().items()}
    torch.use_deterministic_algorithms(False)
    return {"losses": losses, "gradients": gradients, "state": state, "drawn": random_state(where)["cpu"].numpy()}


def in_doubles(argv, device="cpu"):
    """`steps_of`, with digits enough that a biases' gradient in front of a BatchNorm, which is rounding, stays below Adam's eps."""
    torch.set_default_dtype(torch.float64)
    try:
        return steps_of(argv, device)
    finally:
        torch.set_default_dtype(torch.float32)


def assert_same_run(found, expected):
    for step, (losses, wanted) in enumerate(zip(found["losses"], expected["losses"], strict=True)):
        assert losses == pytest.approx(wanted, rel=1e-9, abs=1e-9), step
    for kind in ("gradients", "state"):
        assert found[kind].keys() == expected[kind].keys()
        for name, wanted in expected[kind].items():
            np.testing.assert_allclose(found[kind][name], wanted, rtol=1e-7, atol=1e-9, err_msg=name)
    assert np.array_equal(found["drawn"], expected["drawn"])


RUNS = {
    "martinez, dropout": ("--network", "martinez", "--dropout", 0.5, "--no_domain"),
    "semgcn, non-local, dropout": ("--network", "semgcn", "--non_local", "--dropout", 0.2, "--no_domain"),
    "domain classifier": ("--dropout", 0.5, "--grl", "constant"),
    "statistics of each domain": ("--dropout", 0.5, "--domain_bn", "--discrepancy", "coral", "--discrepancy_weight", 5),
    "teacher, reprojection": ("--dropout", 0.5, "--no_domain", "--teacher", "--teacher_warmup", 1, "--reproject"),
    "MK-MMD, likelihood": ("--dropout", 0.5, "--discrepancy", "mkmmd", "--discrepancy_weight", 1, "--uncertainty_loss", "nll"),
}
QUICK_RUNS = ("statistics of each domain",)


@pytest.mark.parametrize(
    "argv", [pytest.param(run, id=name, marks=[] if name in QUICK_RUNS else [pytest.mark.campaign]) for name, run in RUNS.items()]
)
def test_two_processes_take_the_steps_of_one(processes, argv):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = in_doubles(argv)
    torch.set_num_threads(threads)
    for found in processes.together(2, in_doubles, argv):
        assert_same_run(found, alone)


@pytest.mark.campaign
def test_four_processes_take_the_steps_of_one(processes):
    argv = RUNS["MK-MMD, likelihood"]
    alone = in_doubles(argv)
    everywhere = processes.together(4, in_doubles, argv)
    for found in everywhere:
        assert_same_run(found, alone)
    again = processes.together(4, in_doubles, argv)
    for found in (*everywhere[1:], *again):  # same number of processes: the same bits, everywhere and every time
        assert found["losses"] == everywhere[0]["losses"]
        assert all(np.array_equal(value, everywhere[0]["state"][name]) for name, value in found["state"].items())


def half(argv):
    return steps_of((*argv, "--precision", "bfloat16", "--schedule", "fast"))


def test_bfloat16_and_averaged_weights_are_shared(processes):
    argv = RUNS["domain classifier"]
    for found in processes.together(2, half, argv):
        for losses, wanted in zip(found["losses"], half(argv)["losses"], strict=True):
            assert losses["loss"] == pytest.approx(wanted["loss"], rel=0.02)


def with_a_broken_pose(argv):
    """`steps_of`, with a number that is infinite in the last share of the second batch."""

    def broken(step, *options):
        whole = sound(step, *options)
        if step == 1:
            whole[0][-1] = np.inf
        return whole

    sound = batch
    with mock.patch(f"{__name__}.batch", broken):
        return steps_of((*argv, "--on_nan", "skip"))


def test_a_batch_that_one_process_finds_broken_is_skipped_by_all(processes):
    argv = RUNS["martinez, dropout"]
    for found in processes.together(2, with_a_broken_pose, argv):
        expected = with_a_broken_pose(argv)
        assert len(found["losses"]) == len(expected["losses"]) == STEPS
        assert found["losses"][1] == expected["losses"][1] == {}
        assert found["losses"][3]["loss"] == pytest.approx(expected["losses"][3]["loss"], rel=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="two GPUs are needed")
@pytest.mark.parametrize("argv", RUNS.values(), ids=list(RUNS))
def test_two_gpus_take_the_steps_of_one(processes, argv):
    alone = in_doubles(argv, "cuda")
    for found in processes.together(2, in_doubles, argv, "cuda"):
        assert_same_run(found, alone)


# --- evaluation ---------------------------------------------------------------------------------------------------------


def predicted(rows):
    seed_everything(0)
    networks = {role: build(description).eval() for role, description in dua_descriptions(options(("--no_domain",))).items()}
    poses_3d, uncertainty = predict(networks, torch.randn(rows, 16, 2), "cpu")
    torch.use_deterministic_algorithms(False)
    return poses_3d.numpy(), uncertainty.numpy()


@pytest.mark.parametrize("rows", [1, 3, 50])
def test_predictions_are_made_in_shares_and_put_together_in_order(processes, rows):
    poses_3d, uncertainty = predicted(rows)
    everywhere = processes.together(4, predicted, rows)
    for found in everywhere:
        np.testing.assert_allclose(found[0], poses_3d, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[1], uncertainty, rtol=1e-4, atol=1e-5)
        assert np.array_equal(found[0], everywhere[0][0])


# --- scripts ------------------------------------------------------------------------------------------------------------

CPU = ("--device", "cpu", "--downsample", 3)


def losses_of(run):
    history = load_checkpoint(run / "ckpt_last.pth.tar")["training"]["history"]
    return [{name: value for name, value in row.items() if name not in ("poses_per_s", "lr")} for row in history]


@pytest.mark.parametrize(
    "words",
    [
        ("main_prob.py",),
        ("main_gcn_prob.py", "--non_local", "--num_layers", 1),
        ("train_surreal.py", "--dua", "--no_converter", "--discrepancy", "mkmmd"),
        ("train_surreal.py", "--no_dua", "--stream", "on"),
        ("train_h36m_dan.py", "--no_converter", "--domain_bn", "--align", "gpa"),
        ("train_h36m_dan.py", "--no_converter", "--no_domain", "--teacher", "--teacher_warmup", 1, "--reproject"),
    ],
)
def test_a_script_trains_in_two_processes_as_in_one(processes, demo, tmp_path, words):
    script, *extra = words
    arguments = (script, "--data_dir", demo, *extra, *QUICK)
    process = run_here(*arguments, "--checkpoint", tmp_path / "one")
    assert process.returncode == 0, process.stderr
    first, second = processes.scripts(2, *arguments, "--checkpoint", tmp_path / "two")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "in 2 processes" in first.stdout
    assert "MPJPE by joint" in first.stdout
    assert second.stdout == ""
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    for row, wanted in zip(losses_of(two), losses_of(one), strict=True):
        trained = [name for name in wanted if not name.startswith("val")]
        judged = [name for name in wanted if name.startswith(("val_mpjpe", "teacher"))]  # a teacher predicts as tests do
        trained = [name for name in trained if name not in judged]
        assert {name: row[name] for name in trained} == pytest.approx({name: wanted[name] for name in trained}, rel=1e-4)
        for name in judged:  # biases in front of BatchNorm: rounding
            assert row[name] == pytest.approx(wanted[name], rel=0.02)
    states = [load_checkpoint(run / "ckpt_last.pth.tar")["training"]["random"]["cpu"] for run in (one, two)]
    assert torch.equal(*states)


def test_the_converter_is_trained_in_two_processes_as_in_one(processes, demo, tmp_path):
    arguments = ("conversion.py", "--data_dir", demo, *QUICK[2:])
    assert run_here(*arguments, "--checkpoint", tmp_path / "one").returncode == 0
    first, second = processes.scripts(2, *arguments, "--checkpoint", tmp_path / "two")
    assert (first.returncode, second.returncode, second.stdout) == (0, 0, ""), first.stderr + second.stderr
    one, two = only_run(tmp_path / "one"), only_run(tmp_path / "two")
    for name, value in weights(one / "ckpt_last.pth.tar").items():
        torch.testing.assert_close(weights(two / "ckpt_last.pth.tar")[name], value, atol=1e-5, rtol=1e-4)


# --- how it ends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "words"),
    [
        ("one_of_them_fails", "only wrong here"),
        ("all_of_them_fail", "wrong everywhere"),
        ("the_first_cannot_make_it", "no room"),
    ],
)
def test_bad_input_ends_all_with_one_line(processes, main, words):
    store = new_store()
    ended = processes.scripts(2, main, store=store)
    assert [process.returncode for process in ended] == [2, 2]
    said = [line for process in ended for line in process.stderr.splitlines()]
    assert said == [f"error: {said[0].removeprefix('error: ')}"]
    assert words in said[0]
    again = processes.scripts(2, main, store=store, attempt=1)  # torchrun starts them again, which cannot help
    assert [(process.returncode, process.stderr) for process in again] == [(2, "")] * 2


def keep_error_file(folder):
    """As torchrun gives each process a file to say in why it ended."""
    folder.mkdir(exist_ok=True)
    patch = mock.patch.dict(os.environ, TORCHELASTIC_ERROR_FILE=str(folder / f"{os.environ['RANK']}.json"))
    patch.start()
    return patch.stop


@pytest.mark.parametrize(
    ("main", "words"),
    [("one_of_them_fails", "a file that is only wrong here"), ("all_of_them_fail", "a file that is wrong everywhere")],
)
def test_torchruns_own_report_ends_with_our_line(processes, tmp_path, main, words):
    """As torchrun prints it of the file; in the attempts, too, in which nobody tries any more."""
    store = new_store()
    for attempt in range(2):
        folder = tmp_path / str(attempt)
        processes.scripts(2, main, store=store, attempt=attempt, change=functools.partial(keep_error_file, folder))
        failures = {rank: ProcessFailure(rank, 100 + rank, 2, str(folder / f"{rank}.json")) for rank in range(2)}
        report = str(ChildFailedError("main_prob.py", failures)).splitlines()
        assert report[-2].strip() == f"traceback : error: {words}"
        assert "".join(report).count(words) == 2


def test_a_batch_must_have_equal_shares(processes, demo, tmp_path):
    ended = processes.scripts(
        4, "main_prob.py", "--data_dir", demo, *QUICK, "--batch_size", 66, "--checkpoint", tmp_path / "runs"
    )
    assert [process.returncode for process in ended] == [2] * 4
    (line,) = [line for process in ended for line in process.stderr.splitlines()]
    assert "--batch_size 66" in line
    assert "4 processes" in line
    assert not (tmp_path / "runs").exists()


def test_other_scripts_do_not_run_together(processes):
    for process in processes.scripts(2, "evaluate.py", "--help"):
        assert_one_line(process, "evaluate.py runs in one process", "python")


def ask_the_second_to_stop():
    """SIGTERM to process 1 in the middle of the third step."""
    step = Optimisation.step

    def told(self, batch):
        if rank() == 1 and self.count == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch)

    patch = mock.patch.object(Optimisation, "step", told)
    patch.start()
    return patch.stop


def test_a_signal_to_one_stops_all_after_the_same_step_and_one_process_can_go_on(processes, demo, tmp_path):
    arguments = ("main_prob.py", "--data_dir", demo, *QUICK, "--limit_batches", 6)
    ended = processes.scripts(2, *arguments, "--checkpoint", tmp_path / "runs", change=ask_the_second_to_stop)
    assert [process.returncode for process in ended] == [130, 130], ended[0].stderr + ended[1].stderr
    assert "after batch 3 and saved" in ended[0].stdout
    assert "torchrun --nproc_per_node=2 main_prob.py --resume" in ended[0].stdout
    run = only_run(tmp_path / "runs")
    assert load_checkpoint(run / "ckpt_last.pth.tar")["training"]["step"] == 3
    assert [path.name for path in run.glob("*.pth.tar")] == ["ckpt_last.pth.tar"]

    whole = processes.scripts(2, *arguments, "--checkpoint", tmp_path / "whole")[0]
    assert whole.returncode == 0, whole.stderr
    copy = shutil.copytree(run, tmp_path / "copy")
    resumed = processes.scripts(2, "main_prob.py", "--resume", run)[0]
    assert resumed.returncode == 0, resumed.stderr
    assert_same_bits(run / "ckpt_last.pth.tar", only_run(tmp_path / "whole") / "ckpt_last.pth.tar")
    assert run_here("main_prob.py", "--resume", copy).returncode == 0  # in one process, whose dropout goes on likewise
    one, two = losses_of(copy)[0], losses_of(run)[0]
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-4)


@pytest.mark.campaign
@pytest.mark.skipif(not Path("/proc").exists(), reason="the system does not show a process's children")
def test_torchrun_goes_on_from_the_last_checkpoint_when_a_process_is_killed(processes, demo, tmp_path):
    arguments = ("main_prob.py", "--data_dir", demo, *QUICK, "--epochs", 3, "--limit_batches", 40)
    whole = processes.scripts(2, *arguments, "--checkpoint", tmp_path / "whole")[0]
    assert whole.returncode == 0, whole.stderr
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--max_restarts=1", "--monitor_interval=0.1")
    process = start(launcher[0], *launcher[1:], *arguments, "--checkpoint", tmp_path / "runs")
    try:
        wait_for(lambda: list((tmp_path / "runs").glob("*/ckpt_last.pth.tar")))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        worker = [pid for pid in children if "main_prob.py" in Path(f"/proc/{pid}/cmdline").read_text()][-1]
        os.kill(int(worker), signal.SIGKILL)
        output, errors = process.communicate(timeout=120)
    finally:
        process.terminate()  # torchrun takes its processes along
        process.wait(timeout=60)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert output.count("run folder:") == 2
    assert output.count("epoch   1") == 1  # it was not done again
    run, expected = only_run(tmp_path / "runs"), only_run(tmp_path / "whole")
    assert_same_bits(run / "ckpt_last.pth.tar", expected / "ckpt_last.pth.tar")
    assert (run / "results.json").exists()


def test_each_process_has_a_gpu_of_its_own_or_none_has(monkeypatch):
    chosen = []
    monkeypatch.setattr("common.compute.device.world_size", lambda: 4)
    monkeypatch.setattr("common.compute.device.local_rank", lambda: 1)
    assert str(choose_device("cpu")) == "cpu"
    with pytest.raises(DuaError, match="--device cuda:1: each of 4 processes"):
        choose_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    for count in (2, 1):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        if count == 2:
            assert [str(choose_device(name)) for name in ("auto", "cuda")] == ["cuda:1"] * 2 == chosen
        else:
            with pytest.raises(DuaError, match="more processes than GPUs"):
                choose_device("auto")
