"""Runs of the training scripts as a user would start them: done ones are left, cut-off ones resumed."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from common.errors import DuaError, short_reason
from common.files.writing import write_text
from common.training.arguments import OLDER_RUNS, SWITCHES_OFF
from common.training.checkpoint import LAST

ROOT = Path(__file__).resolve().parents[1]


def one_run(command: list[str], folder: Path, result: str) -> Path:
    """Run a script into `folder`, resume it if it was cut off, or leave it if it is done; returns its run folder.

    Raises:
        DuaError: the script failed, or the run in the folder is of other data, or has another number.
    """
    done = finished_run(folder, result)
    if done:
        _check_alike(done, command)
        return done
    cut_off = sorted(folder.glob(f"*/{LAST}"))
    if cut_off:
        _check_alike(cut_off[0].parent, command)
    whole = [*command, "--checkpoint", str(folder)] if not cut_off else [command[0], "--resume", str(cut_off[0])]
    _python(whole)
    done = finished_run(folder, result)
    if not done:
        raise DuaError(f"python {' '.join(whole)} ended without {result}")
    return done


def tested_again(script: list[str], run: Path, data_dir: str, options: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Results of a finished run's best epoch, tested with other options of the test; kept in `folder`, where nobody else writes, until another
    run is in that one's place."""
    path = folder / "results.json"
    if not path.exists() or Path(read_results(path)["checkpoint"]).parent.name != run.name:
        _python([*script, "--evaluate", str(run), "--data_dir", data_dir, *options])
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, (run / f"results_ckpt_best_{_in_a_name('gt', options)}.json").read_text())
    return read_results(path)


def evaluated(
    run: Path, target: str, keypoints: str, data_dir: str, converter: Path | None = None, options: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """{labels: errors in mm, as `evaluate.py` prints them} of a finished run's best epoch on such 2D of the target, of the frames that the
    run was tested on: 'raw', and 'converted' where that is SURREAL; kept in the run's folder.

    Args:
        converter: for a network that predicts SURREAL's joints.
        options: further ones of the test.
    """
    path = run / f"evaluated_{_in_a_name(keypoints, options)}.csv"
    if not path.exists():
        words = ["--on", target, "--keypoints", keypoints, "--data_dir", data_dir, "--out", str(path.with_suffix(""))]
        words += ["--downsample", str(arguments_of(run)["downsample"])]
        _python(["evaluate.py", str(run), *words, *(["--converter", str(converter)] if converter else []), *options])
    try:
        (row,) = csv.DictReader(path.read_text().splitlines())
        columns = {"raw": "raw", "converted": "conv."} if target == "surreal" else {"raw": "raw"}
        names = {"mpjpe": "MPJPE", "p_mpjpe": "P-MPJPE"}
        return {
            labels: {error: float(row[f"{name} {column}"]) for error, name in names.items()}
            for labels, column in columns.items()
            if row[f"MPJPE {column}"] != "-"
        }
    except (OSError, ValueError, KeyError) as error:
        raise DuaError(f"{path} cannot be read ({short_reason(error)}); delete it, it is then made anew") from error


def _in_a_name(keypoints: str, options: Sequence[str]) -> str:
    """2D and options of a test, in the name of a file that holds its results."""
    return "_".join([keypoints, *(option.removeprefix("--") for option in options)])


def read_results(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DuaError(
            f"{path} cannot be read ({short_reason(error)}); delete its folder (and its line in runs.csv), it is then made anew"
        ) from error


def arguments_of(run: Path) -> dict[str, Any]:
    """The options that a run was started with."""
    return json.loads((run / "config.json").read_text())["arguments"]


_OF_THE_MACHINE = ("--checkpoint", "--converter", "--device")
"""Options that do not say what a run is."""


def _check_alike(run: Path, command: list[str]) -> None:
    """Refuse a run of other data, or with another value of an option that the command gives (but `auto`, which is recorded as what it came to).
    What the command leaves to the scripts is not compared."""
    recorded = OLDER_RUNS | arguments_of(run)
    takes_away = {word: name for name, word in SWITCHES_OFF.items()}
    for option, words in _options(command).items():
        off = option.startswith("--no_")
        name = takes_away.get(option, option.removeprefix("--no_" if off else "--"))
        if option in _OF_THE_MACHINE or name not in recorded or words == ["auto"]:
            continue
        value = not recorded[name] if off else recorded[name]
        if option == "--data_dir":
            if Path(value).resolve() != Path(words[0]).resolve():
                raise DuaError(f"{run} was trained on {value}, not on {words[0]}; choose another folder with --out")
        elif not _is(value, words):
            said = " ".join((option, *words))
            raise DuaError(f"{run} was trained with {name} {recorded[name]}, not '{said}'; choose another folder with --out")


def _options(command: list[str]) -> dict[str, list[str]]:
    """{option: its words}; of an option that is given twice, the last."""
    starts = [place for place, word in enumerate(command) if word.startswith("--")]
    return {command[start]: command[start + 1 : stop] for start, stop in pairwise([*starts, len(command)])}


def _is(value: Any, words: list[str]) -> bool:
    """Whether the words that follow an option say this value, which a script has recorded."""
    if isinstance(value, list):
        return sorted(value) == sorted(words)
    if not words:
        return value is True
    return not isinstance(value, bool) and value in (words[0], _number(words[0]))


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def finished_run(folder: Path, result: str) -> Path | None:
    """The run folder below `folder` that holds `result`."""
    return next((path.parent for path in sorted(folder.glob(f"*/{result}"))), None)


def in_a_path(row: str) -> str:
    """A row's name as its folder's."""
    return "".join(character if character.isalnum() or character in "+-" else "_" for character in row)


def _python(words: list[str]) -> None:
    # One thread a run: side by side they would otherwise wait for each other's threads.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    if finished.returncode:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise DuaError(f"python {' '.join(words)} ended with {finished.returncode}: {last}")
