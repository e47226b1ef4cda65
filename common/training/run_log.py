"""What a run leaves in its folder beside checkpoints: config.json, log.csv, curves.png, results.json."""

import csv
import io
import json
import os
import re
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from common.compute.distributed import main_only
from common.errors import DuaError
from common.figures import COLOURS, save, subplots
from common.files.writing import write_text
from common.training.checkpoint import CONFIG, RUN_NAME, versions


def new_run_folder(root: str | Path) -> Path:
    """Make `root`/<time>, a folder that no other run has.

    Raises:
        DuaError: it cannot be made.
    """
    name = datetime.now().strftime(RUN_NAME)
    try:
        for attempt in range(1000):
            folder = Path(root) / (f"{name}_{attempt}" if attempt else name)
            try:
                folder.mkdir(parents=True)
                return folder
            except FileExistsError:
                if not Path(root).is_dir():
                    raise
        raise FileExistsError("a thousand runs were started in this second")
    except OSError as error:
        raise DuaError(
            f"cannot make a run folder in {root}: {error.strerror or error}; choose another with --checkpoint"
        ) from error


@main_only
def write_config(folder: Path, command: str, arguments: dict[str, Any], facts: dict[str, Any]) -> None:
    """`config.json`: the command, every option, and facts of the run (sizes, device)."""
    config = {"command": command, "arguments": arguments, **facts, "versions": versions()}
    write_text(folder / CONFIG, json.dumps(config, indent=1) + "\n")


def check_same_data(folder: Path, sizes: Mapping[str, int], data_dir: str) -> None:
    """Raise a `DuaError` where a run that goes on has other numbers of poses than it began with (`config.json`, if it is still there): other
    data than those that its epochs so far were trained and validated on."""
    try:
        began = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["poses"]
        other = {name: (int(began[name]), size) for name, size in sizes.items() if name in began and began[name] != size}
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name, (before, now) in other.items():
        raise DuaError(
            f"{folder} was trained on other data: it began with {before:,} poses ({name.replace('_', ' ')}), {data_dir} has {now:,}: name its own "
            "with --data_dir, make them as they were, or start a new run without --resume"
        )


@main_only
def write_log(folder: Path, history: list[dict[str, Any]]) -> None:
    """`log.csv`: a row per epoch; errors in millimetres."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(folder / "log.csv", buffer.getvalue())


@main_only
def forget_results(folder: Path) -> None:
    """Delete the report of fewer epochs when a run goes on: beside later checkpoints it would pass for theirs."""
    for name in ("results.json", "conversion.json"):
        (folder / name).unlink(missing_ok=True)


def other_test(arguments: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, str]:
    """Where a test is not a run's own: {option that makes it another: word for a file's name}, a word for each test.

    Args:
        arguments, own: the options of the test, and those that the run was trained with.
    """
    words = {}
    actions = ["+".join(sorted(filter(None, map(str.strip, str(of.get("actions", "*")).split(","))))) for of in (arguments, own)]
    if actions[0] != actions[1]:
        words[f"--actions {arguments['actions']}"] = "all_actions" if actions[0] == "*" else _word(actions[0])
    if arguments["downsample"] != own.get("downsample", 1):
        words[f"--downsample {arguments['downsample']}"] = f"every_{arguments['downsample']}"
    folders = [os.path.realpath(str(of.get("data_dir", "data"))) for of in (arguments, own)]
    if folders[0] != folders[1]:
        words[f"--data_dir {arguments['data_dir']}"] = f"on_{_word(os.path.basename(folders[0]), folders[0])}"
    return words


def _word(text: str, whole: str | None = None) -> str:
    """`text` as a part of a file's name; with a check sum of `whole`, which it is short for, or of itself if letters had to go."""
    plain = re.sub(r"[^\w.+-]", "_", text)[:40]
    return plain if plain == text and whole is None else f"{plain}_{zlib.crc32((whole or text).encode(errors='replace')):08x}"


@main_only
def write_results(path: Path, results: dict[str, Any]) -> None:
    write_text(path, json.dumps(results, indent=1) + "\n")


@main_only
def plot_curves(folder: Path, history: list[dict[str, Any]]) -> None:
    """`curves.png`: loss and errors over the epochs."""
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 30 else None
    figure, ((loss, error),) = subplots(1, 2, (9, 3.4))
    scale = "log" if min(row["loss"] for row in history) > 0 else "linear"  # a log-likelihood may be of either sign
    loss.plot(epochs, [row["loss"] for row in history], color=COLOURS[0], marker=marker, markersize=3)
    loss.set(xlabel="epoch", ylabel="training loss", yscale=scale)
    named = {
        "train_mpjpe_mm": "training MPJPE (mean over the epoch)",
        "val_mpjpe_mm": "validation MPJPE",
        "val_p_mpjpe_mm": "validation P-MPJPE",
    }
    for (key, label), color in zip(named.items(), COLOURS, strict=False):
        if key in history[0]:
            error.plot(epochs, [row[key] for row in history], label=label, color=color, marker=marker, markersize=3)
    judged = "val_mpjpe_mm" if "val_mpjpe_mm" in history[0] else "train_mpjpe_mm"  # with --select last nothing is held out
    if judged == "val_mpjpe_mm":
        best = min(history, key=lambda row: row[judged])
        error.axvline(best["epoch"], color="0.6", linewidth=0.8, linestyle="--", label=f"best: {best[judged]:.1f} mm")
    # The first epochs' errors, some of a metre, would press everything after them into a line.
    top = 1.5 * max(row[judged] for row in history[len(history) // 4 :])
    error.set(xlabel="epoch", ylabel="mm", ylim=(0, top))
    error.legend(frameon=False, fontsize=8)
    for axis in (loss, error):
        axis.xaxis.get_major_locator().set_params(integer=True)
    save(figure, folder / "curves.png", dpi=150)
