"""What finished runs came to, in one small file beside the tables: it outlives their folders, and another machine can go on with it."""

import csv
import io
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.results_table import ON_DETECTOR, Task
from benchmarks.rows import ROWS
from common.errors import DuaError, short_reason
from common.evaluation.tables import RAW, as_csv
from common.files.lock import try_lock
from common.files.writing import write_text

RUNS = "runs.csv"
SCORES = ("uncovered", "reprojection", "bones", "agreement", "expected")
"""Of `common.adaptation.label_free`."""
COVERAGE = ("MPJPE", "coverage 90 %", "radius 90 %", "weighted coverage", "weighted radius")
"""Of `common.uncertainty.report`."""
TASK = ("direction", "network", "row", "seed")
_ERRORS = {"mpjpe": "MPJPE", "p_mpjpe": "P-MPJPE", ON_DETECTOR: "MPJPE, detector"}
_TESTED = ("MPJPE", "P-MPJPE")
"""What every run has: by it runs are told apart."""

Key = tuple[str, ...]


def key_of(task: Task) -> Key:
    """A run as tables have it."""
    return tuple(map(str, task))


_IN_PROCESS = threading.Lock()
"""Where the system has no locks on files, threads at least wait for each other."""


class KeptTable:
    """A CSV file of numbers by key, which threads and processes may add to at the same time.

    Args:
        keys: columns that say what a line is of; `values` the others, empty where there is none.
        later: those of `values` that older files lack.

    Raises:
        DuaError: the file is damaged, or its columns are others.
    """

    def __init__(self, path: Path, keys: Sequence[str], values: Sequence[str], later: Sequence[str] = ()) -> None:
        self.path = path
        self.keys, self.values, self.later = tuple(keys), tuple(values), tuple(later)

    def read(self) -> dict[Key, dict[str, float]]:
        if not self.path.exists():
            return {}
        try:
            first, *lines = csv.reader(io.StringIO(self.path.read_text()), strict=True)
            older = tuple(name for name in self.values if name not in self.later)
            values = next((of for of in (self.values, older) if first == [*self.keys, *of]), None)
            if values is None:
                raise ValueError(f"its columns are {', '.join(first)}")
            found: dict[Key, dict[str, float]] = {}
            for number, line in enumerate(lines, 2):
                key, cells = tuple(line[: len(self.keys)]), line[len(self.keys) :]
                numbers = {name: float(cell) for name, cell in zip(values, cells, strict=True) if cell}
                if not numbers or key in found or not all(map(math.isfinite, numbers.values())):
                    raise ValueError(f"line {number}")
                found[key] = numbers
        except (OSError, ValueError, csv.Error) as error:
            raise DuaError(f"{self.path} is damaged ({short_reason(error)}); take back the file as it was") from error
        return found

    def add(self, lines: Mapping[Key, Mapping[str, float]], without: Key = ()) -> None:
        """Put lines into the file, in the place of those with the same key, and take out those whose keys begin with `without`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _IN_PROCESS, _alone(self.path.with_suffix(".lock")):
            whole = {key: of for key, of in self.read().items() if not without or key[: len(without)] != without}
            whole |= lines
            cells = [
                (*key, *(f"{of[name]:.4f}" if name in of else "" for name in self.values)) for key, of in sorted(whole.items())
            ]
            write_text(self.path, as_csv((*self.keys, *self.values), cells))


def beside_others(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]], keys: int = 1) -> list[Sequence[str]]:
    """Rows of a table of which this is a part made anew: those of the file, and in the place of those that begin with the same `keys` cells,
    these. A file of other columns is of no use.

    Raises:
        DuaError: the file is no table.
    """
    if not path.exists():
        return list(rows)
    try:
        first, *older = csv.reader(io.StringIO(path.read_text()), strict=True)
    except (OSError, ValueError, csv.Error) as error:
        raise DuaError(f"{path} is damaged ({short_reason(error)}); take back the file as it was") from error
    new = {tuple(row[:keys]) for row in rows}
    return [*(row for row in older if first == list(columns) and tuple(row[:keys]) not in new), *rows]


def kept_scores(folder: Path) -> KeptTable:
    """`scores.csv` of a folder of results: what `benchmarks/rule.py` found without labels."""
    return KeptTable(folder / "scores.csv", TASK, SCORES)


def kept_coverage(folder: Path) -> KeptTable:
    """`coverage_runs.csv` of a folder of results: how much of what they should the radii of `benchmarks/coverage.py` hold."""
    return KeptTable(folder / "coverage_runs.csv", (*TASK, "method"), COVERAGE)


class KeptResults:
    """`runs.csv` of a folder of results: test errors of every finished run, against each kind of labels, in mm; on a detector's 2D where
    the run was tested on it."""

    def __init__(self, folder: Path) -> None:
        self._file = KeptTable(folder / RUNS, (*TASK, "labels"), tuple(_ERRORS.values()), later=(_ERRORS[ON_DETECTOR],))
        self._of_networks = kept_scores(folder), kept_coverage(folder)

    def all(self) -> dict[Task, dict[str, Any]]:
        """Averages, shaped as in `results.json`."""
        by_labels: dict[Task, dict[str, dict[str, Any]]] = {}
        try:
            for (direction, network, row, seed, labels), of in self._file.read().items():
                average = {"average": {name: of[column] for name, column in _ERRORS.items() if column in of or column in _TESTED}}
                by_labels.setdefault((direction, network, row, int(seed)), {})[labels] = average
            return {
                task: {**kinds["converted"], "also": {RAW: kinds["raw"]}} if len(kinds) > 1 else {**kinds["raw"], "also": {}}
                for task, kinds in by_labels.items()
            }
        except (KeyError, ValueError) as error:
            raise DuaError(f"{self._file.path} is damaged ({short_reason(error)}); take back the file as it was") from error

    def add(self, task: Task, result: Mapping[str, Any]) -> None:
        """Keep a run. If an earlier one in its place came to something else, what is kept of that one goes: scores, coverage, and rows that test its
        network."""
        both = RAW in result["also"]
        kinds = {"converted" if both else "raw": result["average"]}
        if both:
            kinds["raw"] = result["also"][RAW]["average"]
        lines = {
            (*key_of(task), labels): {column: average[name] for name, column in _ERRORS.items() if name in average}
            for labels, average in kinds.items()
        }
        kept = self._file.read()
        same = all(key in kept and abs(kept[key][column] - of[column]) < 1e-3 for key, of in lines.items() for column in _TESTED)
        if not same:
            direction, network, row, seed = key_of(task)
            stale: list[tuple[KeptTable, Key]] = [(table, key_of(task)) for table in self._of_networks]
            stale += [(self._file, (direction, network, name, seed)) for name, of in ROWS.items() if of.tests == row]
            for table, key in stale:
                if table.path.exists():
                    table.add({}, without=key)
        self._file.add(lines)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        while try_lock(lock.fileno()) is False:
            time.sleep(0.02)
        yield
