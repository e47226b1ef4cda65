"""A run that is shared by processes is the run of one process: step by step, in its files, and in how it ends."""


import numpy as np
import pytest
import torch

from common.arguments import parse_arguments, training_parser
from common.device import choose_device, random_state, seed_everything
from common.dua import add_dua_arguments, dua_descriptions, dua_loss
from common.networks import add_network_arguments
from common.optimisation import Optimisation
from models import build
from tests.process_tools import Processes

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


def batch(step, compares):
    generator = torch.Generator().manual_seed(step)
    inputs_s, inputs_t = torch.randn(2, BATCH, 16, 2, generator=generator) + 3  # far from 0: variances are small differences
    targets_s = torch.randn(BATCH, 16, 3, generator=generator)
    return (inputs_s, targets_s - targets_s[:, :1]) + ((inputs_t * 2 + 1,) if compares else ())


def steps_of(argv, device="cpu"):
    """Gradients of the first step, the losses and weights of a few, and what is drawn next, of a small run with these options."""
    args = options((*argv, "--device", device))
    where = choose_device(device)
    seed_everything(0)
    networks = {role: build(description).to(where).train() for role, description in dua_descriptions(args).items()}
    optimisation = Optimisation(networks, lambda batch, step: dua_loss(args, networks, batch, step), args, where, STEPS)
    losses, gradients = [], {}
    for step in range(STEPS):
        whole = tuple(tensor.to(where) for tensor in batch(step, args.domain_on))
        losses.append({name: float(value) for name, value in optimisation.step(whole).items()})
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
    "MK-MMD, likelihood": ("--dropout", 0.5, "--discrepancy", "mkmmd", "--discrepancy_weight", 1, "--uncertainty_loss", "nll"),
}


@pytest.mark.parametrize("argv", RUNS.values(), ids=list(RUNS))
def test_two_processes_take_the_steps_of_one(processes, argv):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = in_doubles(argv)
    torch.set_num_threads(threads)
    for found in processes.together(2, in_doubles, argv):
        assert_same_run(found, alone)
