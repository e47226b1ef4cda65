"""Layers and sums that span the shares of all processes (`common.compute.distributed`), so that they compute what one process would."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from common.compute.distributed import rank, world_size
from models.dropout import Dropout


def parallel(objective: nn.Module) -> nn.Module:
    """The objective, a module whose forward pass is given this process's share of the batch, with gradients that are means
    over the processes.

    Its BatchNorms and Dropouts are turned into `SyncedBatchNorm1d` and `SyncedDropout`, in place. With one process it is
    returned as it is.
    """
    if world_size() == 1:
        return objective
    for module in objective.modules():
        # The subclasses add no state, so the layers stay the objects they are, with their parameters and names.
        if type(module) is nn.BatchNorm1d:
            module.__class__ = SyncedBatchNorm1d
        elif type(module) is Dropout:
            module.__class__ = SyncedDropout
    with warnings.catch_warnings():
        # The buffers are the same everywhere. Newer versions of torch have another name for not sending them.
        warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
        return DistributedDataParallel(objective, broadcast_buffers=False, gradient_as_bucket_view=True)


class SyncedBatchNorm1d(nn.BatchNorm1d):
    """BatchNorm by the statistics of all processes' shares, which are equally large; `torch.nn.SyncBatchNorm` has no CPU.

    Shape:
        (N, C) -> (N, C)
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        weight = torch.ones_like(self.running_mean) if self.weight is None else self.weight
        bias = torch.zeros_like(weight) if self.bias is None else self.bias
        y, mean, variance = _Normalise.apply(x, weight, bias, self.eps)
        with torch.no_grad():
            assert self.num_batches_tracked is not None
            assert self.running_var is not None
            self.num_batches_tracked += 1
            momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            rows = len(x) * world_size()
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (rows / (rows - 1)), momentum)
        return y


class _Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        # Each share's mean and variance about it, put together in float64: no difference of large sums.
        # (torch.var_mean takes twenty times as long over the rows of a matrix.)
        own = torch.stack(torch.batch_norm_update_stats(x.to(weight), None, None, 0.0))  # (2, C)
        means, variances = torch.stack(_gather(own)).double().unbind(1)  # (W, C) each
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0).to(weight)
        mean = mean.to(weight)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, variance = ctx.saved_tensors
        grad = gradients[0].contiguous()
        # As if mean and variance were constants: dx = dy w / s, dw = sum dy (x - m) / s, db = sum dy, of the own share.
        dx, dw, db = torch.ops.aten.native_batch_norm_backward(
            grad, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        # What they owe to x: - w / s (mean dy + (x - m) / s mean dy (x - m) / s), the means being those of all shares.
        sums = torch.stack([dw, db])
        dist.all_reduce(sums)
        factor = weight * (variance + ctx.eps).rsqrt() / (len(x) * world_size())
        dx -= F.batch_norm(x, mean, variance, factor * sums[0], factor * sums[1], training=False, eps=ctx.eps)
        return dx, dw, db, None


class SyncedDropout(Dropout):
    """Dropout that draws for the whole batch, as one process would, and takes its own rows: the processes' random states
    stay alike, and one of them in a checkpoint stands for all."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        kept = super().forward(x.new_ones(len(x) * world_size(), *x.shape[1:]))  # 0 or 1 / (1 - p)
        return x * kept[len(x) * rank() : len(x) * (rank() + 1)]


def mean_of_shares(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scalars of this process's share, detached -> of the whole batch."""
    own = {name: value.detach() for name, value in losses.items()}
    if world_size() == 1:
        return own
    means = torch.stack([value.double() for value in own.values()])
    dist.all_reduce(means)
    return dict(zip(own, means / world_size(), strict=True))


def gathered(x: Tensor) -> Tensor:
    """The rows of all processes, (N, ...) -> (W * N, ...), for what is not a mean over rows; gradients find their way back."""
    return x if world_size() == 1 else _Gathered.apply(x)


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.cat(_gather(x))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        everywhere = gradients[0].contiguous().clone()  # each process has a loss of its own, of which all rows are part
        dist.all_reduce(everywhere)
        return everywhere.chunk(world_size())[rank()]


def _gather(x: Tensor) -> list[Tensor]:
    everywhere = [torch.empty_like(x) for _ in range(world_size())]
    dist.all_gather(everywhere, x.contiguous())
    return everywhere
