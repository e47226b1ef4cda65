"""What runs left behind, read for plots: results.json (or results_*.json), log.csv, and the JSON of `evaluate.py --uncertainty`."""

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import DuaError
from common.training.checkpoint import BEST, CONFIG, run_of
from common.training.facts import ORACLE, SELECTIONS
from common.uncertainty.report import CONSTANT
from common.uncertainty.scores import SPREAD

_FACTS = ("source", "target", "network", "modules", "keypoints", "seed", "selection")


@dataclass(frozen=True)
class Run:
    """A run's results; errors in mm.

    Attributes:
        file: its results_*.json.
        facts: of `common.training.facts.describe`.
        test: what it was tested on, and `poses`, how many those were.
        per_action, average: MPJPE of each action, and the average of actions.
        estimator: whether it has an uncertainty.
    """

    file: Path
    facts: dict[str, Any]
    test: str
    poses: int
    per_joint: dict[str, float]
    per_action: dict[str, float]
    average: float
    estimator: bool

    @property
    def checkpoint(self) -> Path:
        """The one that was tested; it lies beside its results, wherever the folder went."""
        return self.file.parent / Path(self.facts.get("checkpoint", BEST)).name

    @property
    def held_out(self) -> bool:
        """Whether a part of the source's clips was not trained on, on which epochs were validated and the estimator calibrated."""
        return bool(self.facts["selection"] != SELECTIONS["last"])

    @property
    def validated_on(self) -> str:
        if self.facts["selection"] == ORACLE:
            return f"test set of {self.facts['target']}"
        return f"validation split of {self.facts['source']}"


@dataclass(frozen=True)
class Spread:
    """True errors of joints against expected ones: an uncertainty of a checkpoint on a test set.

    Attributes:
        facts: of `common.training.facts.describe`; method, test: as in `common.uncertainty.report.Judged`.
        bins: {"expected_mm", "error_mm", "error_mm_10%", ...}, see `common.uncertainty.scores.Scores`.
    """

    facts: dict[str, Any]
    method: str
    test: str
    bins: dict[str, list[float]]


def read_run(path: str | Path) -> Run:
    """The results in a run folder, of a folder of runs the newest, or a results_*.json by its name.

    Raises:
        DuaError: there are none (the message says what makes them), or they are damaged or of something else.
    """
    path = run_of(path, "results.json")
    file = path if path.is_file() else path / "results.json"
    if not file.exists():
        raise DuaError(_why_no_results(path))
    results = _read_json(file)
    try:
        return Run(
            file=file,
            facts={name: results[name] for name in _FACTS} | {"checkpoint": str(results["checkpoint"])},
            test=str(results["test"]),
            poses=int(results["poses"]),
            per_joint=_lengths(results["per_joint_mpjpe"]),
            per_action=_lengths({action: row["mpjpe"] for action, row in results["per_action"].items()}),
            average=_lengths({"average": results["average"]["mpjpe"]})["average"],
            estimator=results["uncertainty"] is not None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DuaError(f"{file} does not hold the results of a training script ({error!r}); give a run folder") from error


def read_spreads(path: str | Path) -> list[Spread]:
    """What `evaluate.py --uncertainty --out NAME` wrote into NAME_uncertainty.json, but for the constants.

    Raises:
        DuaError: the file holds something else, is damaged, or older than the quantiles.
    """
    try:
        rows = [spread_of(row) for row in _read_json(Path(path))["rows"] if row["method"] != CONSTANT]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DuaError(
            f"{path} lacks what is drawn ({error!r}); make it again: python evaluate.py RUN... --uncertainty --out NAME"
        ) from error
    if not rows:
        raise DuaError(f"{path} holds no uncertainty but constants; give the runs of estimators to evaluate.py --uncertainty")
    return rows


def spread_of(row: Mapping[str, Any]) -> Spread:
    """Of one row of that file, or of `Judged.to_dict()`."""
    how = next((f", {word} labels" for word in ("raw", "converted") if row["labels"].endswith(word)), "")
    names = ("expected_mm", "error_mm", *(f"error_mm_{q:.0%}" for q in SPREAD))
    bins = {name: [float(value) for value in row["reliability"][name]] for name in names}
    if not bins["expected_mm"] or len({len(values) for values in bins.values()}) > 1:
        raise ValueError("bins of unequal length")
    if not all(0 <= value < _LONGEST for values in bins.values() for value in values):
        raise ValueError("errors in mm were expected")
    return Spread({name: row[name] for name in (*_FACTS, "checkpoint")}, str(row["method"]), f"{row['test']}{how}", bins)


def holds_spreads(path: str | Path) -> bool:
    """Whether `path` is a file of `evaluate.py --uncertainty`, not a run."""
    path = Path(path)
    return path.is_file() and isinstance(content := _read_json(path), dict) and "rows" in content


def read_log(run: Run) -> tuple[list[int], list[float]]:
    """(epochs, validation MPJPE in mm) of a run's log.csv.

    Raises:
        DuaError: it is missing or damaged.
    """
    file = run.file.parent / "log.csv"
    try:
        with open(file, newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            if "val_mpjpe_mm" not in (names := reader.fieldnames or ()) and "train_mpjpe_mm" in names:
                raise DuaError(
                    f"{file} has no validation errors: with --select last nothing is held out; leave this run, or --kind curves, out"
                )
            rows = [(int(row["epoch"]), float(row["val_mpjpe_mm"])) for row in reader]
    except FileNotFoundError as error:
        raise DuaError(f"{file} does not exist; a training run writes it, keep it beside {run.file.name}") from error
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise DuaError(f"{file} cannot be read as a run's log ({error!r}); columns epoch and val_mpjpe_mm are needed") from error
    if not rows or not all(math.isfinite(value) for _, value in rows):
        raise DuaError(f"{file} holds {'errors that are no numbers' if rows else 'no epoch'}; give another run")
    return [epoch for epoch, _ in rows], [error for _, error in rows]


def names_of(all_facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each run in a legend: source, target and network, and of the other facts those in which they differ.

    A best epoch that was chosen on the target's labels is always said.
    """
    if not all_facts:
        return []
    texts = [_texts(facts) for facts in all_facts]
    differ = [key for key in texts[0] if len({text[key] for text in texts}) > 1]
    names = [", ".join([f"{text['from']}: {text['network']}", *(text[key] for key in differ if key not in ("from", "network"))])
             for text in texts]  # fmt: skip
    names = with_oracle(names, all_facts)
    often = Counter(names)
    return [name if often[name] == 1 else f"{name}, run {i}" for i, name in enumerate(names, 1)]


def with_oracle(names: Sequence[str], all_facts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names, marked where target labels chose the epoch: no figure may hide that."""
    return [
        f"{name} (oracle selection)" if facts["selection"] == ORACLE and "oracle selection" not in name else name
        for name, facts in zip(names, all_facts, strict=True)
    ]


_LONGEST = 1e6  # mm; a kilometre is no error of a pose


def _texts(facts: Mapping[str, Any]) -> dict[str, str]:
    arrow = f" → {facts['target']}" if facts["target"] else ""
    return {
        "from": f"{facts['source']}{arrow}",
        "network": str(facts["network"]),
        "modules": " + ".join(map(str, facts["modules"])) or "no modules",
        "keypoints": f"2D: {facts['keypoints']}",
        "seed": f"seed {facts['seed']}",
    }


def _lengths(content: Mapping[str, Any]) -> dict[str, float]:
    values = {str(name): float(value) for name, value in content.items()}
    if not values or not all(0 <= value < _LONGEST for value in values.values()):
        raise ValueError("errors in mm were expected")
    return values


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DuaError(f"{file} cannot be read as JSON: cut short, damaged, or something else; give a run folder") from error


def _why_no_results(path: Path) -> str:
    if not path.exists():
        return f"{path} does not exist; give a run folder, such as checkpoint/prob/<time>"
    if (path / "conversion.json").exists():
        return f"{path} is a run of conversion.py, which has no errors of poses; give runs of the training scripts"
    if (path / CONFIG).exists():
        config = _read_json(path / CONFIG)
        command = str(config.get("command", "")) if isinstance(config, dict) else ""
        script = Path(command.split(".py")[0]).name or "SCRIPT"
        return f"{path} has no results.json, which a run writes at its end; finish it: python {script}.py --resume {path}"
    near = sorted(str(found.parent) for found in path.glob("**/results.json"))[:5]
    return f"{path} is no run folder (it has neither results.json nor config.json); " + (
        f"below it there are: {', '.join(near)}"
        if near
        else "give one that a training script made, such as checkpoint/prob/<time>"
    )
