"""What every training script does around its recipe: start, resume or evaluate; folders; the report at the end."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.arguments import Arguments, adopt_arguments, recorded_arguments
from common.checkpoint import (
    BEST,
    LAST,
    check_experiment,
    checkpoint_file,
    load_checkpoint,
    rebuild_networks,
    skeleton_entry,
)
from common.device import choose_device, seed_everything
from common.errors import DuaError
from common.evaluation import evaluate
from common.poses import Poses
from common.run_log import new_run_folder, write_config, write_results
from common.training import Batches, Loss, Trainer
from models import build


class Experiment:
    """One run of one script, new, resumed or only evaluated, as the arguments say.

    Args:
        name: of the experiment, as checkpoints keep it.
        args: parsed options; what a checkpoint knows and the command line does not say is filled in.
        network: the lifting network that the script trains.
        skeleton: whose joints the network predicts, 'h36m' or 'smpl'.

    Raises:
        DuaError: the checkpoint to resume or evaluate is unusable, or the device is not there.
    """

    def __init__(self, name: str, args: Arguments, network: str, skeleton: str) -> None:
        self.name = name
        self.args = args
        self.skeleton = skeleton
        self.selection = "source validation"
        self._networks: dict[str, nn.Module] = {}
        self._descriptions: dict[str, dict[str, Any]] = {}
        self._checkpoint: dict[str, Any] | None = None
        self._file = Path()
        if args.resume or args.evaluate:
            self._file = checkpoint_file(args.resume, LAST) if args.resume else checkpoint_file(args.evaluate, BEST)
            self._checkpoint = load_checkpoint(self._file)
            check_experiment(self._checkpoint, self._file, name, network)
            adopt_arguments(args, self._checkpoint["arguments"], str(self._file), resume=bool(args.resume))
        self.device = choose_device(args.device)
        seed_everything(args.seed)

    def networks(self, **descriptions: dict[str, Any]) -> dict[str, nn.Module]:
        """The networks to train, {role: network}: new ones, or those of the checkpoint that is resumed."""
        if self._checkpoint is None:
            self._descriptions = descriptions
            self._networks = {role: build(description) for role, description in descriptions.items()}
        else:
            self._descriptions = self._checkpoint["networks"]
            self._networks = rebuild_networks(self._checkpoint, self._file)
        for network in self._networks.values():
            network.to(self.device)
        return self._networks

    def train(self, batches: Batches, loss: Loss, validate: Callable[[], dict[str, float]], **data: Poses) -> None:
        """Train to the end, then take the best epoch's weights. `data` is named in `config.json` with its size."""
        folder = self._file.parent if self._checkpoint else new_run_folder(self.args.checkpoint)
        sizes = {name: len(poses) for name, poses in data.items()}
        arguments = recorded_arguments(self.args)
        header = {
            "experiment": self.name,
            "networks": self._descriptions,
            "skeleton": skeleton_entry(self.skeleton),
            "keypoints": self.args.keypoints,
            "selection": self.selection,
            "arguments": arguments,
        }
        parameters = sum(p.numel() for network in self._networks.values() for p in network.parameters())
        facts = {
            "experiment": self.name,
            "networks": self._descriptions,
            "parameters": parameters,
            "poses": sizes,
            "device": str(self.device),
        }
        write_config(folder, " ".join(sys.argv), arguments, facts)
        described = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
        print(f"poses: {described}; {parameters / 1e6:.2f} M parameters on {self.device}; run folder: {folder}", flush=True)
        trainer = Trainer(self._networks, batches, loss, validate, self.args, self.device, folder, header)
        if self._checkpoint:
            trainer.resume(self._checkpoint, self._file)
        trainer.fit()
        self._file = folder / BEST

    def report(self, test: Poses) -> None:
        """Print the best epoch's (or the evaluated checkpoint's) test errors and keep them as JSON beside it."""
        checkpoint = load_checkpoint(self._file)
        networks = rebuild_networks(checkpoint, self._file)
        for network in networks.values():
            network.to(self.device)
        with torch.no_grad():
            evaluation = evaluate(networks, test, self.device)
        training = checkpoint["training"]
        facts = {
            "checkpoint": str(self._file),
            "experiment": checkpoint["experiment"],
            "network": checkpoint["networks"]["lifter"]["name"],
            "modules": [role for role in checkpoint["networks"] if role != "lifter"],
            "epoch": training["epoch"],
            "test": f"{test.name} {'+'.join(sorted({s.subject for s in test.sequences}, key=lambda s: int(s[1:])))}",
            "keypoints": self.args.keypoints,
            "seed": checkpoint["arguments"]["seed"],
            "selection": checkpoint["selection"],
        }
        modules = "".join(f" + {module}" for module in facts["modules"])
        print(
            f"\n{facts['network']}{modules}, epoch {facts['epoch']} (selection: {facts['selection']}), seed {facts['seed']}, "
            f"tested on {facts['test']}, 2D: {facts['keypoints']}; errors in mm, PCK and AUC in %\n"
        )
        print(evaluation.table())
        whole_run = self.args.evaluate is None
        path = self._file.parent / (
            "results.json" if whole_run else f"results_{self._file.name.split('.')[0]}_{self.args.keypoints}.json"
        )
        try:
            write_results(path, {**facts, **evaluation.to_dict()})
            print(f"\n{path}")
        except DuaError as error:  # a checkpoint in a read-only folder can still be evaluated
            print(f"\nresults were not kept: {error}", file=sys.stderr)
