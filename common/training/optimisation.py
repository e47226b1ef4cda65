"""One step of training: forward, backward, clipped gradients, Adam; and what becomes of a step whose numbers are not finite."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from common.compute.device import autocast, tf32_products
from common.compute.distributed import share, world_size
from common.compute.synced import mean_of_shares, parallel
from common.errors import DuaError, short_reason
from common.training.arguments import Arguments
from common.training.schedule import learning_rate

Loss = Callable[[tuple[Tensor, ...], int], dict[str, Tensor]]
"""(batch, step) -> {"loss": what is minimised, "mpjpe": metres, and whatever else is to be logged}, all scalars."""


class Objective(nn.Module):
    """The networks that are trained together and the loss that they share, as one module."""

    def __init__(self, networks: Mapping[str, nn.Module], loss: Loss) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)
        self.loss = loss

    def forward(self, batch: tuple[Tensor, ...], step: int) -> dict[str, Tensor]:
        return self.loss(batch, step)


class NotFinite(Exception):
    """A step whose loss or gradient is NaN or infinite; `step` is its number within the run."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Optimisation:
    """Adam, its learning rate and, with the fast schedule, the running average of the weights.

    Args:
        networks: {role: network}, on the device.
        loss: the experiment, see `Loss`.
        args: the options of `common.training.arguments.training_parser`.
        total_steps: of the whole run, which the fast schedule is laid over.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], loss: Loss, args: Arguments, device: torch.device, total_steps: int
    ) -> None:
        self.args = args
        self.device = device
        self.objective = Objective(networks, loss)
        self._in_shares = parallel(self.objective)
        if args.compile:
            if world_size() > 1:
                raise DuaError("--compile works in one process, and several share this run; leave it out")
            check_compiler(device)
            if (
                torch.are_deterministic_algorithms_enabled()
            ):  # tells the compiler as well, which `seed_everything` does not import
                torch.use_deterministic_algorithms(True, warn_only=torch.is_deterministic_algorithms_warn_only_enabled())
            for network in networks.values():  # in place: names in checkpoints stay; the step's number never enters a graph
                network.compile(mode="reduce-overhead" if device.type == "cuda" else "default")
        self.parameters = list(self.objective.parameters())
        self.optimizer = Adam(self.parameters, lr=args.lr, fused=True)
        self.total_steps = total_steps
        self.average = Average(self.objective, total_steps) if args.schedule == "fast" else None
        self.count = 0
        """Steps done."""
        self.skipped = 0
        """Steps of the current epoch that changed nothing, their numbers not being finite (`--on_nan skip`)."""
        self._flags: list[Tensor] = []

    def step(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor] | None:
        """One step; returns the losses, detached, or None if the step was skipped.

        Raises:
            NotFinite: with `--on_nan stop`; on a GPU, which is not waited for, only from `check`.
        """
        rate = learning_rate(self.args, self.count, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.args.compile and self.device.type == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        before = self._buffers() if self.args.on_nan == "skip" else []
        with tf32_products(self.args.precision):
            with autocast(self.device, self.args.precision):
                losses = self._in_shares(share(batch), self.count)
            self.optimizer.zero_grad(set_to_none=True)
            losses["loss"].backward()
        losses = mean_of_shares(losses)
        norm = get_total_norm([parameter.grad for parameter in self.parameters if parameter.grad is not None])
        finite = torch.isfinite(losses["loss"] + norm)
        self.count += 1
        if self.device.type == "cpu" or self.args.on_nan == "skip":
            if not finite:
                self._refuse(before)
                return None
        else:
            self._flags.append(finite)
        # Below the limit the gradients stay as they are; a processor knows that without being waited for, and saves a pass.
        if self.args.max_norm and (self.device.type != "cpu" or norm + 1e-6 > 1):
            clip_grads_with_norm_(self.parameters, 1.0, norm)
        self.optimizer.step()
        if self.average:
            self.average.update(self.count)
        return losses

    def check(self) -> None:
        """Raise `NotFinite` for the first of the steps since the last look that went wrong, where they are not judged at once."""
        flags, self._flags = self._flags, []
        if flags:
            bad = (~torch.stack(flags)).nonzero()
            if len(bad):
                raise NotFinite(self.count - len(flags) + 1 + int(bad[0]))

    def _refuse(self, before: list[Tensor]) -> None:
        """The weights have not been touched, BatchNorm's statistics have."""
        if self.args.on_nan == "stop":
            raise NotFinite(self.count)
        with torch.no_grad():
            for buffer, value in zip(self.objective.buffers(), before, strict=True):
                buffer.copy_(value)
        self.optimizer.zero_grad(set_to_none=True)
        self.skipped += 1

    def _buffers(self) -> list[Tensor]:
        return [buffer.clone() for buffer in self.objective.buffers()]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the weights that are to be used."""
        raw = {"raw": self.average.raw_state()} if self.average else {}
        return {"step": self.count, "skipped": self.skipped, "optimizer": self.optimizer.state_dict(), **raw}

    def load(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state`; the networks hold the checkpoint's weights already."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.count, self.skipped = state["step"], state.get("skipped", 0)
        if self.average:
            self.average.load(state["raw"])


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method without what torch wraps it in; itself, should a torch wrap it no more."""
    plain: Callable[..., Any] = getattr(method, "__wrapped__", method)
    return plain


class Adam(torch.optim.Adam):
    """torch's own, to the bit, without the wrappers that keep torch's compiler out of it: they import that compiler (two thousand modules, two
    fifths of the time to a first step) in order to say so to it. Here the networks alone are compiled (`--compile`), and an optimiser is never
    in what is compiled."""

    add_param_group = _plain(torch.optim.Optimizer.add_param_group)
    zero_grad = _plain(torch.optim.Optimizer.zero_grad)
    state_dict = _plain(torch.optim.Optimizer.state_dict)
    load_state_dict = _plain(torch.optim.Optimizer.load_state_dict)
    step = torch.no_grad()(_plain(torch.optim.Adam.step))


def check_compiler(device: torch.device) -> None:
    """Raise a `DuaError` if torch cannot compile here; found out by doing it, since it is otherwise found out in the first step."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2, device=device))
    except Exception as error:  # of torch's compiler, the system's, or Triton
        raise DuaError(
            f"--compile: torch cannot compile for {device} on this machine ({short_reason(error)}); leave it out, or see what is "
            "missing: a C++ compiler for a CPU, Triton for a GPU"
        ) from error


def floats(module: nn.Module) -> list[Tensor]:
    """What of a module can be averaged: its weights and BatchNorm's statistics, themselves."""
    return [tensor for tensor in module.state_dict(keep_vars=True).values() if tensor.is_floating_point()]


@torch.no_grad()
def follow(average: list[Tensor], live: list[Tensor], steps: int, decay: float) -> None:
    """Take the tensors after `steps` steps into their exponential moving averages, in place.

    Early on these forget faster, so that nothing of the first weights is left: min(decay, (1 + steps) / (10 + steps)).
    """
    decay = min(decay, (1 + steps) / (10 + steps))
    torch._foreach_lerp_([tensor.detach() for tensor in average], [tensor.detach() for tensor in live], 1 - decay)


class Average:
    """Exponential moving average of weights and BatchNorm's statistics (Polyak & Juditsky 1992, in its usual form); see `follow`.

    In a short run it forgets faster to the end, so that it holds no weights of when the learning rate was high: within a fiftieth of
    the run's steps.
    """

    DECAY = 0.998
    _RUN_OVER_MEMORY = 50

    def __init__(self, module: nn.Module, total_steps: int) -> None:
        self.decay = max(0.0, min(self.DECAY, 1 - self._RUN_OVER_MEMORY / total_steps))
        self._live = floats(module)
        self._average = [tensor.detach().clone() for tensor in self._live]
        self._swapped = False

    def update(self, steps: int) -> None:
        follow(self._average, self._live, steps, self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the networks have the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for live, average in zip(self._live, self._average, strict=True):
            kept = live.clone()
            live.copy_(average)
            average.copy_(kept)
        self._swapped = not self._swapped

    def raw_state(self) -> list[Tensor]:
        """The weights that training goes on with. They are the other half of what a checkpoint keeps: its own are averages."""
        if not self._swapped:
            raise RuntimeError("a checkpoint of averaged weights is written within `in_place`")
        return [tensor.clone() for tensor in self._average]

    @torch.no_grad()
    def load(self, raw: list[Tensor]) -> None:
        if len(raw) != len(self._live) or any(a.shape != b.shape for a, b in zip(raw, self._live)):
            raise DuaError("the averaged weights of the checkpoint do not fit its networks; give another checkpoint of the run")
        for live, average, value in zip(self._live, self._average, raw, strict=True):
            average.copy_(live)
            live.copy_(value)
