"""Numbers of fewer bits, where the processor computes faster with them. Weights, sums and tests stay in float32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from common.errors import DuaError

PRECISIONS = ("float32", "tf32", "bfloat16")


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
    """Around a forward pass: matrix products in bfloat16, what needs more digits in float32."""
    if precision != "bfloat16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


@contextmanager
def tf32_products(precision: str) -> Iterator[None]:
    """Around a forward and backward pass: with 'tf32', an NVIDIA GPU multiplies float32 matrices with 10 bits of mantissa."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
