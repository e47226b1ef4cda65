"""Where the networks run, in numbers of how many bits, and how a run is made repeatable there."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from common.compute.distributed import local_rank, world_size
from common.errors import DuaError


def choose_device(name: str) -> torch.device:
    """'auto' (CUDA, else MPS, else CPU), 'cpu', 'mps', 'cuda' or 'cuda:N'.

    Raises:
        DuaError: the name is unknown or the device is not there; the message lists what is.
    """
    there = ["cpu"]
    there += [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if world_size() > 1:
        return _device_of_process(name, there)
    there += ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        return torch.device("cuda:0" if "cuda:0" in there else "mps" if "mps" in there else "cpu")
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        raise DuaError(f"--device {name} is not there; this machine has: {', '.join(there)} (or leave it at 'auto')")
    return torch.device(wanted)


def _device_of_process(name: str, there: list[str]) -> torch.device:
    """Of several processes of a run, each has a GPU of its own, or all are on the CPU."""
    if name == "cpu" or (name == "auto" and there == ["cpu"]):
        return torch.device("cpu")
    if name not in ("auto", "cuda"):
        raise DuaError(f"--device {name}: each of {world_size()} processes has a device of its own; use auto, cuda or cpu")
    own = f"cuda:{local_rank()}"
    if own not in there:
        raise DuaError(
            f"there are more processes than GPUs on this machine, which has: {', '.join(there)}; "
            "start one for each GPU (--nproc_per_node), or use --device cpu"
        )
    torch.cuda.set_device(own)
    return torch.device(own)


def seed_everything(seed: int) -> None:
    """Seed torch on every device, ask for kernels that give the same result each time, and take the tiniest numbers for 0."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what CUDA needs to repeat matrix products bit for bit
    torch.manual_seed(seed)
    # As `torch.use_deterministic_algorithms(True, warn_only=True)`, which imports torch's compiler: one more second before the data are
    # read, and before what is wrong with them is said. What that does for compiled networks is in `common.training.optimisation`.
    torch.set_deterministic_debug_mode("warn")
    # Gradients that fade away leave numbers below 1e-38 in Adam's moments, which a CPU computes with tens of times slower: steps
    # of SemGCN were seen to take seven times as long. As zeros they change nothing. Threads that start later inherit it.
    torch.set_flush_denormal(True)


def generator_of(number: int) -> torch.Generator:
    """A generator of its own for each number, as large as it may come of a seed, a step and a stream; torch takes none above 2**64."""
    return torch.Generator().manual_seed(number % 2**63)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """States of the generators that training draws from (dropout; the order of batches has none, see `ShuffledBatches`)."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Inverse of `random_state`. A run that goes on on another kind of device goes on, but not to the same bits."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
    if device.type == "mps" and "mps" in state:
        torch.mps.set_rng_state(state["mps"].cpu())


PRECISIONS = ("float32", "tf32", "bfloat16")
"""Of matrix products, where the processor computes faster with fewer bits. Weights, sums and tests stay in float32."""


def choose_precision(name: str, device: torch.device) -> str:
    """One of `PRECISIONS`; 'auto' is bfloat16 where the processor has instructions for it, else float32.

    Raises:
        DuaError: the device cannot compute in it.
    """
    if name == "auto":
        return "bfloat16" if has_bfloat16(device) else "float32"
    if name == "tf32" and device.type != "cuda":
        raise DuaError(f"--precision tf32: {device} has no such numbers, NVIDIA GPUs have; use float32 or bfloat16")
    return name


def has_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 matrices are done by the hardware, and not slower than float32's by software."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        asked = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
        return any(ask is not None and ask() for ask in asked)
    return False


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Around a forward pass: matrix products in bfloat16, what needs more digits in float32.

    Args:
        precision: one of `PRECISIONS`, as `choose_precision` gives it.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"{precision!r} is none of {PRECISIONS}")
    if precision != "bfloat16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Around what needs float32's digits within a step of fewer bits: small differences of large sums, places in pictures. On NVIDIA GPUs with
    'tf32' it is the forward pass alone: products of the backward pass are as the step's."""
    with tf32_products("float32"), torch.autocast(device.type, enabled=False):
        yield


@contextmanager
def tf32_products(precision: str) -> Iterator[None]:
    """Around a forward and backward pass: with 'tf32', an NVIDIA GPU multiplies float32 matrices with 10 bits of mantissa."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
