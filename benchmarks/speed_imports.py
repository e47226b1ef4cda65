"""How long scripts take before they do anything, against `import torch` alone: `--help`, an input that is not there, and the first
step of the five training scripts, against the floor of their network (`benchmarks/speed.py --measures scripts`)."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.speed_ways import NETWORKS
from common.errors import DuaError

ROOT = Path(__file__).resolve().parents[1]
MISSING = "not/there"
BAD_INPUTS = {
    "main_prob.py": ("--data_dir", MISSING),
    "main_gcn_prob.py": ("--data_dir", MISSING),
    "train_h36m_dan.py": ("--data_dir", MISSING),
    "train_surreal.py": ("--data_dir", MISSING),
    "train_open.py": ("--data_dir", MISSING),
    "conversion.py": ("--data_dir", MISSING),
    "viz.py": ("--evaluate", MISSING, "--viz_subject", "S9", "--viz_action", "Walking", "--viz_output", "clip.gif"),
    "predict.py": (f"{MISSING}.json", "--out", "poses.npz"),
    "evaluate.py": (MISSING,),
    "plots.py": (MISSING, "--out", "figures_"),
    "detect.py": (f"{MISSING}.mp4", "--out", "joints.json"),
    "data/prepare_data_bvh.py": (MISSING, "--out", "domains"),
    "data/prepare_data_demo.py": ("--motion", f"{MISSING}.h5", "--out", "demo"),
    "data/prepare_data_h36m.py": ("--from-archive", f"{MISSING}.zip"),
    "data/prepare_data_h36m_smpl.py": ("--from-npz", f"{MISSING}.npz", "--out", MISSING),
    "data/prepare_data_people.py": (MISSING, "--out", "people"),
    "data/prepare_data_surreal.py": ("--from-surreal", MISSING),
}
"""{script: arguments that name something that is not there}: one line of what is wrong, and nothing is written."""
TRAINING = {
    "main_prob.py": ("martinez", ()),
    "main_gcn_prob.py": ("semgcn", NETWORKS["semgcn"]),
    "train_h36m_dan.py": ("martinez", ("--no_converter",)),
    "train_surreal.py": ("martinez", ("--dua", "--no_converter")),
    "train_open.py": ("martinez", ()),
}
"""{script: the network whose floor it is held against, and its options}. A converter is a training of its own."""
SCRIPTS = {"martinez": "main_prob.py", "semgcn": "main_gcn_prob.py"}
IMPORT_TORCH = ("-c", "import torch")
IMPORT_PREDICTOR = ("-c", "from common.predictor import Predictor")

COLUMNS = ("measure", "s", "against", "its s", "ratio")
Row = tuple[str, ...]


def imports_table(rounds: int, clock: str) -> list[Row]:
    """`--help` and a bad input of every script, and the import that notebooks begin with, against `import torch`."""
    commands = {"import torch": (IMPORT_TORCH, 0), "from common.predictor import Predictor": (IMPORT_PREDICTOR, 0)}
    for script, arguments in BAD_INPUTS.items():
        commands[f"{script} --help"] = ((str(ROOT / script), "--help"), 0)
        commands[f"{script}, bad input"] = ((str(ROOT / script), *arguments), 2)
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            name: (lambda c=command, e=code: process_seconds(c, e, clock, folder)) for name, (command, code) in commands.items()
        }
        medians = by_turns(runs, rounds)
    base = medians.pop("import torch")
    return [row(name, seconds, "import torch", base) for name, seconds in medians.items()]


def first_steps_table(device: torch.device, args: argparse.Namespace) -> list[Row]:
    """The first step of the training scripts against the floor of their networks; of `train_open.py` with `--people_dir` alone."""

    def step(way: str, network: str, script: Sequence[str]) -> Callable[[], float]:
        return lambda: start(way, network, args.batch_sizes[0], device, args, script)[first_step(args)]

    runs = {network: step("floor", network, ()) for network in NETWORKS}
    for script, (network, options) in TRAINING.items():
        if script != "train_open.py":
            runs[script] = step("ours", network, (script, *options))
        elif args.people_dir:
            runs[script] = step("ours", network, (script, *options, "--data_dir", args.people_dir))
    medians = by_turns(runs, args.rounds)
    return [
        row(f"{script}, first step", medians[script], f"floor of {network}", medians[network])
        for script, (network, _) in TRAINING.items()
        if script in medians
    ]


def by_turns(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Medians of what each of some functions returns, called by turns, so that a busy machine slows all of them."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
    return {name: statistics.median(values) for name, values in found.items()}


def process_seconds(arguments: Sequence[str], code: int, clock: str, folder: str) -> float:
    """Of `python ARGUMENTS` in `folder`, which must end with exit code `code`: by the clock, or of its processes' own time."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    before, started = _cpu_of_children(), time.perf_counter()
    process = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    wall, cpu = time.perf_counter() - started, _cpu_of_children() - before
    if process.returncode != code:
        raise DuaError(f"{' '.join(arguments)} ended with {process.returncode}, not {code}: {process.stderr.strip()[-300:]}")
    return cpu if clock == "cpu" else wall


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def row(measure: str, seconds: float, against: str, base: float) -> Row:
    return measure, f"{seconds:.2f}", against, f"{base:.2f}", f"{seconds / base:.2f}"


def first_step(args: argparse.Namespace) -> str:
    """Which of the seconds that `speed_start.py` tells."""
    return "first_step_cpu_s" if args.clock == "cpu" else "first_step_s"


def start(
    way: str, network: str, batch_size: int, device: torch.device, args: argparse.Namespace, script: Sequence[str] = ()
) -> dict[str, float]:
    """What `speed_start.py` says of a process; `script` with its options, where it is not the network's own."""
    own = (SCRIPTS[network], *NETWORKS[network])
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "speed_start.py"),
        way,
        network,
        str(batch_size),
        args.data_dir,
        str(device),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}
    process = subprocess.run([*command, str(time.time()), *(script or own)], capture_output=True, text=True, env=environment)
    try:
        return json.loads(process.stdout.splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise DuaError(f"{' '.join(command[1:])} ended without a step: {process.stderr.strip()[-300:]}") from error
