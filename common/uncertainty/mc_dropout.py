"""Monte-Carlo dropout (Gal and Ghahramani, ICML 2016): how far the passes of one network with dropout lie apart."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from common.errors import DuaError
from common.evaluation.evaluate import predict

_SEED = 0


def spread_under_dropout(networks: Mapping[str, nn.Module], inputs_2d: Tensor, device: torch.device, passes: int) -> Tensor:
    """Standard deviation of each joint over stochastic passes: the root of its variances summed over the axes.

    Dropout draws, everything else (BatchNorm) works as in a test. The same masks come in every call.

    Shape:
        inputs_2d (N, 16, 2) -> (N, 16) metres, on the CPU.

    Raises:
        DuaError: the lifting network has no dropout.
    """
    lifter = networks["lifter"]
    dropouts = [module for module in lifter.modules() if isinstance(module, nn.Dropout) and module.p > 0]
    if not dropouts:
        raise DuaError("the network was trained without dropout, so that all passes are alike; leave --mc_dropout out")
    torch.manual_seed(_SEED)
    total, squares = None, None
    try:
        for module in dropouts:
            module.train()
        for _ in range(passes):
            poses_3d = predict({"lifter": lifter}, inputs_2d, device)[0].double()
            total = poses_3d if total is None else total + poses_3d
            squares = poses_3d**2 if squares is None else squares + poses_3d**2
    finally:
        for module in dropouts:
            module.eval()
    assert total is not None
    assert squares is not None
    variance = (squares - total**2 / passes) / (passes - 1)
    return variance.sum(dim=-1).clamp_min(0).sqrt().float()
