"""Of what a folder holds results: the benchmark's version, the data, the preset and its trainings, which are never mixed."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from benchmarks.kept import RUNS
from benchmarks.runs import ROOT, read_results
from common.errors import DuaError
from common.files.writing import write_text
from common.training.schedule import fast_options

VERSION = 3
"""Of the benchmark, and part of its hash: results of another are not mixed with these. 2: SURREAL's camera follows the pelvis, more rows. 3: a
capture for each domain, people apart."""


def claim(out: Path, data_dir: Path, preset: str, sizes: Mapping[tuple[str, str], list[str]], networks: Collection[str]) -> None:
    """Write `benchmark.json`, or raise a `DuaError` if the folder holds results of something else.

    Args:
        networks: that have results in the folder; of others, it does not matter how they would have been trained.
    """
    path = out / "benchmark.json"
    facts = {"version": VERSION, "data": data_dir.name, "hash": data_hash(data_dir), "preset": preset}
    facts["trainings"] = in_words(sizes)
    if not path.exists() and (out / RUNS).exists():
        raise DuaError(
            f"{out / RUNS} does not say of what it is: benchmark.json, which lay beside it, is missing; bring it along"
        )
    if path.exists():
        found = read_results(path)
        if not isinstance(found, dict):
            raise DuaError(f"{path} is not what the benchmark writes; choose another folder with --out")
        given = found | {"trainings": _of_networks(found.get("trainings"), networks)}
        wanted = facts | {"trainings": _of_networks(facts["trainings"], networks)}
        # The folder is called after the archives' sizes, which depend on who packed them; the hash says what is in it.
        del wanted["data"]
        differing = [f"{key} {given.get(key)}, not {value}" for key, value in wanted.items() if given.get(key) != value]
        if differing:
            raise DuaError(f"{out} holds results of {'; '.join(differing)}: they are not mixed, choose another folder with --out")
        if found.get("trainings") != facts["trainings"]:
            write_text(path, json.dumps(found | facts, indent=1) + "\n")
        return
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    write_text(path, json.dumps(facts | {"commit": commit(), "machine": machine}, indent=1) + "\n")


def _of_networks(trainings: Any, networks: Collection[str]) -> Any:
    """Of what `in_words` makes, that of these networks; anything else as it is."""
    if not isinstance(trainings, dict):
        return trainings
    return {key: value for key, value in trainings.items() if key.split(", ")[-1] in networks}


def in_words(sizes: Mapping[tuple[str, str], list[str]]) -> dict[str, str]:
    """The options of `training_sizes` as `benchmark.json` keeps them, with what `--schedule fast` stands for today."""
    texts = {}
    for (direction, network), words in sizes.items():
        fast = fast_options(network, 1) if "fast" in words else {}
        stands_for = [
            f"--{name} {value}"
            for name, value in fast.items()
            if name not in ("epochs", "epoch_share") and f"--{name}" not in words
        ]
        texts[f"{direction}, {network}"] = " ".join([*words, *stands_for])
    return texts


def data_hash(data_dir: Path) -> str:
    """SHA-256 of the benchmark's version and of `dataset.json`: the builder's format and seed, and of every sequence its clips, split, body
    and camera."""
    return hashlib.sha256(f"{VERSION}\n".encode() + (data_dir / "dataset.json").read_bytes()).hexdigest()


def commit() -> str:
    """The repository's state, as far as git knows it."""
    finished = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return finished.stdout.strip() or "unknown"
