"""The one training loop: epochs, validation, best and last checkpoint, exact resume. A single step is `common.training.optimisation`'s."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from common.compute.device import random_state, set_random_state
from common.compute.distributed import any_of, is_main, launcher, remember, wait_for_all
from common.compute.signals import watch_for_stop
from common.errors import DuaError
from common.evaluation.evaluate import Validation
from common.training.arguments import Arguments
from common.training.checkpoint import BEST, LAST, save_checkpoint
from common.training.optimisation import Loss, NotFinite, Optimisation
from common.training.run_log import plot_curves, write_log

_LOOK_EVERY = 50
"""Steps between two looks at the loss: reading it makes a GPU wait."""


class Batches(Protocol):
    """What the loop asks of the data (`common.datasets.batches`)."""

    batch_size: int
    steps: int

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, ...]]: ...


def steps_per_epoch(batches: Batches, args: Arguments) -> int:
    """Of a run with these options."""
    return min(max(1, round(args.epoch_share * batches.steps)), args.limit_batches or batches.steps)


class Trainer:
    """Trains some networks together and writes `ckpt_best.pth.tar`, `ckpt_last.pth.tar`, `log.csv`, `curves.png`.

    Args:
        networks: {role: network}, to train.
        frozen: {role: network}, only kept in the checkpoints.
        batches: source of batches.
        loss: the experiment, see `common.training.optimisation.Loss`.
        validate: errors of the networks as they are, the first of which chooses `best`, and the uncertainty's calibration; without it
            (`--select last`) each epoch is better than the one before.
        args: the options of `common.training.arguments.training_parser`.
        folder: the run's folder.
        header: what a checkpoint says of the run beside its training state (`common.training.checkpoint`).
        settles: of a run that starts with good weights, which are judged as epoch 0. It ends after an epoch that lowers the least
            validation error so far (without `validate`: the training loss of the epoch before) by less than this share; 0: never.
        after_step: what is done with the number of steps done, after each that was not skipped.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        frozen: Mapping[str, nn.Module],
        batches: Batches,
        loss: Loss,
        validate: Callable[[], Validation] | None,
        args: Arguments,
        device: torch.device,
        folder: Path,
        header: dict[str, Any],
        settles: float | None = None,
        after_step: Callable[[int], None] | None = None,
    ) -> None:
        self.networks = dict(networks)
        self.frozen = dict(frozen)
        self.batches = batches
        self.validate = validate
        self.args = args
        self.device = device
        self.folder = folder
        self.header = header
        self.settles = settles
        self.after_step = after_step
        self.steps = steps_per_epoch(batches, args)
        self.optimisation = Optimisation(networks, loss, args, device, total_steps=args.epochs * self.steps)
        self.epoch = 0  # epochs done
        self.batch = 0  # batches done of the epoch after them
        self.sums: dict[str, float] = {}  # of the losses of those batches, weighted alike
        self.best = math.inf
        self.settled = False
        self.history: list[dict[str, Any]] = []

    def resume(self, checkpoint: dict[str, Any], path: str | Path) -> None:
        """Take over the state of a checkpoint (the networks were rebuilt from it already)."""
        state = checkpoint["training"]
        if "optimizer" not in state:
            raise DuaError(
                f"{path} holds weights alone, nothing of their training, which cannot go on; use --evaluate, or train anew"
            )
        try:
            self.optimisation.load(state)
            set_random_state(state["random"], self.device)
            self.epoch, self.batch = state["epoch"], state["batch"]
            self.sums, self.best, self.history = dict(state["sums"]), state["best"], list(state["history"])
            self.settled = bool(self.settles) and bool(state.get("settled", False))
        except (KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise DuaError(f"{path} cannot be resumed: its training state is incomplete ({error!r})") from error
        if self.batch > self.steps:
            raise DuaError(
                f"{path} stopped after batch {self.batch} of an epoch, this data has {self.steps}; give the run's own data"
            )
        # A run that was killed after its last epoch and before its report has that left to do.
        reported = any((self.folder / name).exists() for name in ("results.json", "conversion.json"))
        if self.settled and reported:
            raise DuaError(
                f"{path} has settled after {self.epoch} epochs; go on all the same with --settled 0, or use --evaluate"
            )
        if self.epoch > self.args.epochs or (self.epoch == self.args.epochs and reported):
            raise DuaError(
                f"{path} has done {self.epoch} epochs of {self.args.epochs}; ask for more with --epochs, or use --evaluate"
            )

    def fit(self) -> None:
        """Train until `--epochs` are done, or it has settled. Ctrl-C (or SIGTERM) saves after the current step, says how to go on, exits 130."""
        poses_per_epoch = self.steps * self.batches.batch_size
        bar = tqdm(
            total=self.args.epochs * poses_per_epoch,
            initial=self.epoch * poses_per_epoch + self.batch * self.batches.batch_size,
            unit="pose",
            unit_scale=True,
            dynamic_ncols=True,
            # No bar where nobody looks, nor a second one of another process; the line per epoch is printed all the same.
            disable=None if is_main() else True,
        )
        with bar, watch_for_stop() as stop_asked:
            if self.settles is not None and self.validate and self.best == math.inf:
                self._judge_start(bar, self.validate)
            while self.epoch < self.args.epochs and not self.settled:
                speed = self._train_epoch(bar, stop_asked)
                self._finish_epoch(bar, speed)
        if self.settled:
            print(
                f"settled: epoch {self.epoch} lowered the error by less than {self.settles:.1%}; --settled 0 trains all {self.args.epochs}"
            )
        write_log(self.folder, self.history)  # once more: the run may have been killed after its last checkpoint
        plot_curves(self.folder, self.history)

    def _train_epoch(self, bar: Any, stop_asked: Callable[[], bool]) -> float:
        """Run what is left of an epoch; returns its speed in poses per second."""
        for network in self.networks.values():
            network.train()
        bar.set_description(f"epoch {self.epoch + 1}/{self.args.epochs}")
        started, first = time.perf_counter(), self.batch
        sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in self.sums.items()}
        for batch in self.batches.epoch(self.epoch, self.batch):
            if self.batch >= self.steps:
                break
            for name, value in self._step(batch).items():
                value = value.to("cpu", torch.float64) if self.device.type == "mps" else value.double()
                sums[name] = sums[name].to(value.device) + value if name in sums else value
            self.batch += 1
            bar.update(self.batches.batch_size)
            stop = any_of(stop_asked())  # whichever process was told to
            if self.batch % _LOOK_EVERY == 0 or self.batch == self.steps or stop:
                self._check_finite()
                self.sums = {name: float(value) for name, value in sums.items()}
                means = self._means()
                bar.set_postfix_str(f"loss {means['loss']:.4f}, MPJPE {means['mpjpe'] * 1000:.1f} mm")
            if stop:
                self._stop(bar)
        return (self.batch - first) * self.batches.batch_size / max(time.perf_counter() - started, 1e-9)

    def _step(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        try:
            losses = self.optimisation.step(batch)
        except NotFinite as error:
            raise self._diverged(error.step) from error
        if losses is not None and self.after_step:
            self.after_step(self.optimisation.count)
        return losses or {}

    def _means(self) -> dict[str, float]:
        """Of the losses of the epoch so far."""
        count = self.batch - self.optimisation.skipped
        return {name: value / count for name, value in self.sums.items()}

    def _judge_start(self, bar: Any, validate: Callable[[], Validation]) -> None:
        """Keep the networks as they are before the first step: what training makes of them has to be better."""
        for network in self.networks.values():
            network.eval()
        validation = validate()
        self.best = validation.errors["val_mpjpe_mm"]
        self._save(self.folder / BEST, validation)
        bar.write(f"epoch   0  as it starts  validation {self.best:6.1f} mm", file=sys.stdout)

    def _finish_epoch(self, bar: Any, speed: float) -> None:
        for network in self.networks.values():
            network.eval()
        with self._weights_to_use():
            self._finish(bar, speed)

    def _finish(self, bar: Any, speed: float) -> None:
        """Validate and save the networks as they are."""
        validation = self.validate() if self.validate else Validation({})
        errors = validation.errors
        means, skipped, self.optimisation.skipped = self._means(), self.optimisation.skipped, 0
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, {}
        is_best = not self.validate or errors["val_mpjpe_mm"] < self.best
        before, now = self.best, errors.get("val_mpjpe_mm", means["loss"])
        if not self.validate:
            before = self.history[-1]["loss"] if self.history else math.inf
        share = self.settles or 0.0
        self.settled = share > 0 and before < math.inf and before - now < share * abs(before)
        self.best = min(self.best, errors.get("val_mpjpe_mm", math.inf))
        row = {"epoch": self.epoch, "step": self.optimisation.count, "lr": self.optimisation.optimizer.param_groups[0]["lr"]}
        row |= {name: value for name, value in means.items() if name != "mpjpe"}
        row |= {"train_mpjpe_mm": means["mpjpe"] * 1000, **errors, "best": int(is_best), "poses_per_s": round(speed)}
        self.history.append(row)
        # Last comes last: a run that is killed before it repeats the epoch and writes the same files again.
        if is_best:
            self._save(self.folder / BEST, validation)
        if self.args.snapshot and self.epoch % self.args.snapshot == 0:
            self._save(self.folder / f"snapshot_epoch_{self.epoch}.pth.tar", validation)
        self._save(self.folder / LAST, validation)
        write_log(self.folder, self.history)
        judged, best = " mm", ""
        if self.validate:
            judged = f"  validation {errors['val_mpjpe_mm']:6.1f} mm  (P-MPJPE {errors['val_p_mpjpe_mm']:.1f})"
            best = "  best" if is_best else ""
        bar.write(
            f"epoch {self.epoch:3d}  loss {row['loss']:.4f}  MPJPE train {row['train_mpjpe_mm']:6.1f}{judged}  {speed:,.0f} poses/s{best}"
            + (f"  {skipped} batches skipped: NaN or infinite" if skipped else ""),
            file=sys.stdout,
        )
        sys.stdout.flush()

    def _save(self, path: Path, validation: Validation | None = None) -> None:
        """Without `validation` (in the middle of an epoch) nothing is known of how these weights' uncertainty is to be read."""
        calibration = validation.calibration if validation else None
        save_checkpoint(
            path,
            {
                **self.header,
                "weights": {role: network.state_dict() for role, network in (self.networks | self.frozen).items()},
                "calibration": calibration.to_dict() if calibration else None,
                "training": {
                    "epoch": self.epoch,
                    "batch": self.batch,
                    "sums": self.sums,
                    "best": self.best,
                    "settled": self.settled,
                    "history": self.history,
                    "random": random_state(self.device),
                    **self.optimisation.state(),
                },
            },
        )
        if path.name == LAST:
            remember("checkpoint", path)

    def _weights_to_use(self) -> AbstractContextManager[None]:
        """Within it the networks have the weights that are tested and kept: averages, where the schedule takes them."""
        return self.optimisation.average.in_place() if self.optimisation.average else nullcontext()

    def _check_finite(self) -> None:
        try:
            self.optimisation.check()
        except NotFinite as error:
            raise self._diverged(error.step) from error
        if self.optimisation.skipped > self.batch // 2:
            raise self._diverged(self.optimisation.count, f"{self.optimisation.skipped} of this epoch's batches were skipped")

    def _diverged(self, step: int, why: str = "the loss or its gradient became NaN or infinite") -> DuaError:
        last = self.folder / LAST
        good = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was written yet"
        batch = step - self.epoch * self.steps
        return DuaError(
            f"{why}: epoch {self.epoch + 1}, batch {batch} (step {step} of the run); {good}. Lower --lr, look for wrong poses in the "
            "data, or leave single batches out with --on_nan skip"
        )

    def _stop(self, bar: Any) -> None:
        with self._weights_to_use():
            self._save(self.folder / LAST)
        wait_for_all()
        bar.close()
        print(
            f"\nstopped in epoch {self.epoch + 1} after batch {self.batch} and saved; go on with:\n  {self._resume_command()}",
            flush=True,
        )
        raise SystemExit(130)

    def _resume_command(self) -> str:
        return f"{launcher()} {Path(sys.argv[0]).name} --resume {self.folder / LAST}"
