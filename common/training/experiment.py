"""What every training script does around its recipe: start, resume or evaluate; folders; the report at the end."""

import gc
import sys
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common.compute.device import choose_device, choose_precision, seed_everything
from common.compute.distributed import check_shares, from_main, remember, remembered, wait_for_all, world_size
from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.datasets.test_sets import keypoints_of
from common.errors import DuaError
from common.evaluation.evaluate import Evaluation, Validation, evaluate
from common.evaluation.precision import difference_from_float32
from common.evaluation.test_time import TestTime
from common.mocap.demo import build_demo_if_missing
from common.training.arguments import Arguments, adopt_arguments, recorded_arguments
from common.training.checkpoint import (
    BEST,
    LAST,
    check_experiment,
    checkpoint_file,
    load_checkpoint,
    rebuild_networks,
    skeleton_entry,
)
from common.training.facts import SELECTIONS, describe, domain_of
from common.training.loop import Batches, Loss, Trainer
from common.training.run_lock import run_lock
from common.training.run_log import check_same_data, forget_results, new_run_folder, other_test, write_config, write_results
from common.training.trained_range import TrainedRange
from models import build
from models.initial import start_from_data

_SHOWN = 8192
"""Poses that are enough to tell the mean pose and the covariance of 32 coordinates."""


class Experiment:
    """One run of one script, new, resumed or only evaluated, as the arguments say.

    Args:
        name: of the experiment, as checkpoints keep it.
        args: parsed options; what a checkpoint knows and the command line does not say is filled in.
        network: the network that the script trains, None if an option chooses it.
        role: what the script calls it.

    Raises:
        DuaError: the checkpoint to resume or evaluate is unusable, or the device is not there.
    """

    def __init__(self, name: str, args: Arguments, network: str | None, role: str = "lifter") -> None:
        self.name = name
        self.args = args
        self._trained: dict[str, nn.Module] = {}
        self._frozen: dict[str, nn.Module] = {}
        self._descriptions: dict[str, dict[str, Any]] = {}
        self._checkpoint: dict[str, Any] | None = None
        self._file = Path()
        self._lock = ExitStack()
        if args.resume or args.evaluate:
            self._file = checkpoint_file(args.resume, LAST) if args.resume else checkpoint_file(args.evaluate, BEST)
            if args.resume:  # before it is read: until training goes on, no other process may put a later one in its place
                self._lock.enter_context(run_lock(self._file.parent))
                wait_for_all()
            self._checkpoint = load_checkpoint(self._file)
            check_experiment(self._checkpoint, self._file, name, role, network)
            adopt_arguments(args, self._checkpoint["arguments"], str(self._file), resume=bool(args.resume))
        self.selection = SELECTIONS[args.select]
        self.device = choose_device(args.device)
        args.precision = choose_precision(args.precision, self.device)
        seed_everything(args.seed)
        from_main(lambda: build_demo_if_missing(args.data_dir))  # a checkpoint's own, and after what is wrong with that is said

    @property
    def continues(self) -> bool:
        """Whether there is a checkpoint, so that its networks are used and not those that options name."""
        return self._checkpoint is not None

    def networks(self, **descriptions: dict[str, Any]) -> dict[str, nn.Module]:
        """The networks to train, {role: network}: new ones, or those of the checkpoint."""
        if self._checkpoint is None:
            built = {role: build(description) for role, description in descriptions.items()}
        else:
            everything = rebuild_networks(self._checkpoint, self._file)
            missing = [role for role in descriptions if role not in everything]
            if missing:
                raise DuaError(f"{self._file} holds no network '{missing[0]}', which the options ask for; leave them out")
            descriptions = {role: self._checkpoint["networks"][role] for role in descriptions}
            built = {role: everything[role] for role in descriptions}
        self._descriptions |= descriptions
        self._trained = {role: network.to(self.device) for role, network in built.items()}
        return self._trained

    def freeze(self, role: str, network: nn.Module, description: dict[str, Any]) -> nn.Module:
        """Add a network that is used and kept in checkpoints, but not trained; returns it, without gradients."""
        self._descriptions[role] = description
        self._frozen[role] = network.to(self.device).eval().requires_grad_(False)
        return network

    def stored(self, role: str) -> tuple[nn.Module, dict[str, Any]] | None:
        """(network, description) of a role in the checkpoint, or None where it has none."""
        if self._checkpoint is None or role not in self._checkpoint["networks"]:
            return None
        return rebuild_networks(self._checkpoint, self._file)[role], self._checkpoint["networks"][role]

    def train(
        self,
        batches: Batches,
        loss: Loss,
        validate: Callable[[], Validation] | None,
        skeleton: str,
        source: str,
        target: str | None = None,
        seen: Callable[[], TrainedRange] | None = None,
        settles: float | None = None,
        after_step: Callable[[int], None] | None = None,
        **sizes: int,
    ) -> None:
        """Train to the end, then take the best epoch's weights, or without `validate` the last one's.

        Args:
            skeleton: whose joints the networks predict, 'h36m' or 'smpl'.
            source: data set whose labels are learnt from.
            target: data set that is adapted to, if any.
            seen: what the networks see of the data, of networks that lift; a run that goes on keeps what it began with.
            settles, after_step: as `common.training.loop.Trainer`.
            sizes: numbers of poses, for the log and `config.json`.
        """
        check_shares(self.args.batch_size)
        folder = self._file.parent if self._checkpoint else remembered("folder")
        if folder is None:
            folder = from_main(lambda: new_run_folder(self.args.checkpoint))
            remember("folder", folder)
        if self._checkpoint:
            check_same_data(folder, sizes, self.args.data_dir)
        else:
            self._lock.enter_context(run_lock(folder))
        arguments = recorded_arguments(self.args)
        header = {
            "command": (self._checkpoint or {}).get("command", " ".join(sys.argv)),  # that the run began with: it says what it is
            "experiment": self.name,
            "networks": self._descriptions,
            "skeleton": skeleton_entry(skeleton),
            "source": source,
            "target": target,
            "keypoints": self.args.keypoints,
            "selection": self.selection,
            "arguments": arguments,
        }
        kept = self._checkpoint.get("trained_range") if self._checkpoint else None
        if seen is not None:
            header["trained_range"] = kept or seen().to_dict()
        parameters = sum(p.numel() for network in self._trained.values() for p in network.parameters())
        facts = {key: value for key, value in header.items() if key not in ("command", "skeleton", "arguments", "trained_range")}
        facts |= {"skeleton": skeleton, "parameters": parameters, "poses": sizes, "device": str(self.device)}
        facts["processes"] = world_size()
        initial = vars(self.args).get("initial", "published")
        if not self._checkpoint and initial != "published":
            start_from_data(self._trained["lifter"], *_some_of(batches), whiten=initial == "whitened")
        trainer = Trainer(
            self._trained, self._frozen, batches, loss, validate, self.args, self.device, folder, header, settles, after_step
        )
        described = ", ".join(f"{name.replace('_', ' ')} {size:,}" for name, size in sizes.items())
        place = str(self.device) if world_size() == 1 else f"{self.device.type} in {world_size()} processes"
        with self._lock:
            if self._checkpoint:
                trainer.resume(self._checkpoint, self._file)
            write_config(folder, header["command"], arguments, facts)
            forget_results(folder)
            print(f"poses: {described}; {parameters / 1e6:.2f} M parameters on {place}; run folder: {folder}", flush=True)
            trainer.fit()
            held = self._lock.pop_all()
        weakref.finalize(self, held.close)  # not yet: the report is of this run's epochs, nobody may train on before it
        wait_for_all()  # what comes next reads what process 0 wrote
        del trainer
        gc.collect()  # torch leaves cycles, which would keep the training data in memory while the test is read
        self._file = folder / BEST
        if not self._file.exists():  # a snapshot went on outside its run, and no later epoch was better
            print(f"{folder} has no {BEST}: the best epoch lies where the snapshot comes from; what follows is of the last one")
            self._file = folder / LAST

    @property
    def file(self) -> Path:
        """The best epoch's checkpoint, or the one that is evaluated."""
        return self._file

    @property
    def tested_on(self) -> dict[str, Any]:
        """What every report says of the poses that it counts."""
        return {"downsample": self.args.downsample, "data_dir": self.args.data_dir}

    def report_file(self, kind: str, *options: str, plain: bool = False) -> Path:
        """KIND.json beside the checkpoint after training; with `--evaluate` a name for each checkpoint, `options` and test, so that the
        test of a part, which is printed, takes the place of no other.

        Args:
            plain: whether the run's own test of its best checkpoint, or of one without a best beside it, is KIND.json once more.
        """
        words: list[str] = []
        if self.args.evaluate:
            assert self._checkpoint is not None
            other = other_test(vars(self.args), self._checkpoint["arguments"])
            if other:
                print(f"not the run's own test, but with {' '.join(other)}")
            if other or not plain or (self._file.name != BEST and (self._file.parent / BEST).exists()):
                words = [self._file.name.removesuffix(".pth.tar"), *options, *other.values()]
        return self._file.parent / f"{'_'.join([kind, *words])}.json"

    def report(self, tests: Mapping[str, Poses | Streamed[Poses]], keypoints: str | None = None) -> None:
        """Print the test errors of the best epoch (or the evaluated checkpoint), and keep them as JSON beside it.

        Args:
            tests: {what is tested on: poses}; the first is the main one, of the others only averages are printed.
            keypoints: where the tests' 2D is from, if `--keypoints` does not say it.
        """
        checkpoint = load_checkpoint(self._file)
        networks = {role: network.to(self.device) for role, network in rebuild_networks(checkpoint, self._file).items()}
        tested = {name: getattr(self.args, name) for name in ("tta", "test_bn") if hasattr(self.args, name)}
        keypoints = keypoints or keypoints_of(next(iter(tests.values())).name, self.args.keypoints)
        facts = describe(checkpoint | {"arguments": checkpoint["arguments"] | tested}) | {
            "checkpoint": str(self._file),
            "keypoints": keypoints,
        }
        # Tests are in float32 whatever the training was in, unless they are asked for in less.
        precision = self.args.precision if self.args.evaluate and "precision" in self.args.given else "float32"
        test_time = TestTime.of(vars(self.args), precision)
        asked = [name for name in ("tta", "test_bn") if name in self.args.given] + [precision] * (precision != "float32")
        path = self.report_file("results", keypoints, *asked)
        modules = "".join(f" + {module}" for module in facts["modules"])
        arrow = f" -> {facts['target']}" if facts["target"] else ""
        print(
            f"\n{facts['source']}{arrow}: {facts['network']}{modules}, epoch {facts['epoch']} (selection: {facts['selection']}), "
            f"seed {facts['seed']}, 2D: {facts['keypoints']}; errors in mm, PCK and AUC in %"
        )
        results: dict[str, Evaluation] = {}
        for name, poses in tests.items():
            domain = domain_of(checkpoint, poses)
            results[name] = evaluate(networks, poses, self.device, domain, test_time)
            print(f"\ntest: {name}\n{results[name].table()}" if len(results) == 1 else f"test: {name}\n{results[name].line()}")
            if precision != "float32":
                print(difference_from_float32(networks, poses, self.device, domain, test_time))
        first, *others = results
        written = facts | {"test": first, **results[first].to_dict()}
        written["also"] = {name: results[name].to_dict() for name in others}
        written |= {"precision": precision} if precision != "float32" else {}
        written |= self.tested_on | {"actions": list(results[first].per_action)}
        try:
            write_results(path, written)
            print(f"\n{path}")
        except DuaError as error:
            if not self.args.evaluate:
                raise
            # A checkpoint in a read-only folder can still be evaluated.
            print(f"\nresults were not kept: {error}", file=sys.stderr)


def _some_of(batches: Batches) -> tuple[Tensor, Tensor]:
    """Inputs and labels of the source in the first batches of a run, as training sees them."""
    found, poses = [], 0
    for batch in batches.epoch(0):
        found.append(batch[:2])
        poses += len(batch[0])
        if poses >= _SHOWN:
            break
    inputs_2d, targets_3d = (torch.cat(column) for column in zip(*found, strict=True))
    return inputs_2d, targets_3d
