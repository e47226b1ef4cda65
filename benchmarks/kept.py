"""What finished runs came to, in one small file beside the tables: it outlives their folders, and another machine can go on with it."""

import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.errors import DuaError, short_reason
from common.evaluation.tables import as_csv
from common.files.lock import try_lock
from common.files.writing import write_text

TASK = ("direction", "network", "row", "seed")
_ERRORS = {"mpjpe": "MPJPE", "p_mpjpe": "P-MPJPE"}

Key = tuple[str, ...]


class Kept:
    """A CSV file of numbers by key, which threads and processes may add to at the same time.

    Args:
        keys: columns that say what a line is of; `values` the others, empty where there is none.

    Raises:
        DuaError: the file is damaged, or its columns are others.
    """

    def __init__(self, path: Path, keys: Sequence[str], values: Sequence[str]) -> None:
        self.path = path
        self.keys, self.values = tuple(keys), tuple(values)

    def read(self) -> dict[Key, dict[str, float]]:
        if not self.path.exists():
            return {}
        try:
            lines = list(csv.DictReader(io.StringIO(self.path.read_text())))
            return {
                tuple(line[key] for key in self.keys): {name: float(line[name]) for name in self.values if line[name]}
                for line in lines
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DuaError(f"{self.path} is damaged ({short_reason(error)}); take back the file as it was") from error

    def add(self, lines: Mapping[Key, Mapping[str, float]]) -> None:
        """Put lines into the file, in the place of those with the same key."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(self.path.with_suffix(".lock")):
            whole = self.read() | lines
            cells = [
                (*key, *(f"{of[name]:.4f}" if name in of else "" for name in self.values)) for key, of in sorted(whole.items())
            ]
            write_text(self.path, as_csv((*self.keys, *self.values), cells))


class KeptResults:
    """`runs.csv` of a folder of results: test errors of every finished run, against each kind of labels, in mm."""

    def __init__(self, folder: Path) -> None:
        self._file = Kept(folder / "runs.csv", (*TASK, "labels"), tuple(_ERRORS.values()))

    def all(self) -> dict[tuple[str, str, str, int], dict[str, Any]]:
        """{(direction, network, row, seed): averages, shaped as in `results.json`}."""
        found: dict[tuple[str, str, str, int], dict[str, Any]] = {}
        # "converted" is before "raw": what a script reports first.
        for (direction, network, row, seed, _), of in sorted(self._file.read().items()):
            average = {"average": {name: of[column] for name, column in _ERRORS.items()}}
            task = (direction, network, row, int(seed))
            if task in found:
                found[task]["also"][RAW] = average
            else:
                found[task] = {**average, "also": {}}
        return found

    def add(self, task: tuple[str, str, str, int], result: Mapping[str, Any]) -> None:
        both = RAW in result["also"]
        kinds = {"converted" if both else "raw": result["average"]}
        if both:
            kinds["raw"] = result["also"][RAW]["average"]
        self._file.add(
            {
                (*map(str, task), labels): {column: average[name] for name, column in _ERRORS.items()}
                for labels, average in kinds.items()
            }
        )


RAW = "surreal, raw labels"
"""As `results.json` calls the second test of a network that predicts a converted skeleton."""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        while try_lock(lock.fileno()) is False:
            time.sleep(0.02)
        yield
