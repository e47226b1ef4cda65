"""docs/results.md, docs/model_zoo.md and the README's table of headline results, made from the tables that the benchmarks wrote.

    python benchmarks/results_page.py             # writes them
    python benchmarks/results_page.py --check     # exit code 1 and one line if a page differs from the tables

The pages' words are in results_page.md and model_zoo.md, beside this file. A line in double braces is filled in, paths are of this folder:

    {{ results_mocap/martinez/table.csv | direction = surreal -> h36m | without direction, network }}
                                        a CSV file as a table, all of it or some rows and columns
    {{ results_mocap/martinez/domain_gap.txt }}         a text file as it is
    {{ goals results_mocap/martinez/table.csv }}        how far the best combination is from its goals
    {{ if results_published/table.csv }}                what follows, to {{ end }}, only if that file is there

In the README, what stands between the two comments named 'headline' is written. Numbers that stand in the page's sentences are not
looked at: read them when a table has changed.
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

from benchmarks.results_table import goals
from benchmarks.rows import BOUND, BOUND_FLIPPED, BOUND_SCRIPTS, DIRECTIONS, DUA, NONE, REPROJECTED, ROWS, TARGET_POSES
from common.errors import DuaError
from common.evaluation.tables import as_markdown
from common.files.writing import write_text

TEMPLATE = "benchmarks/results_page.md"
PAGE = "docs/results.md"
ZOO_TEMPLATE, ZOO = "benchmarks/model_zoo.md", "docs/model_zoo.md"
README = "README.md"
MAKE = "python benchmarks/results_page.py"

_PLACE = re.compile(r"\{\{ (.+) \}\}")
_HEADLINE = re.compile(r"(<!-- headline[^>]*-->).*?(<!-- end of headline -->)", re.DOTALL)

SOURCE, TARGET = "surreal", "h36m"
HEADLINE = (
    ("in domain: trained and tested on SURREAL", f"{TARGET} -> {SOURCE}", BOUND),
    ("no adaptation: trained on SURREAL, tested on Human3.6M", f"{SOURCE} -> {TARGET}", NONE),
    ("DUA", f"{SOURCE} -> {TARGET}", DUA),
    ("a combination: source poses seen as the target is filmed, and reprojection", f"{SOURCE} -> {TARGET}", REPROJECTED),
    ("... with new poses, and the target's as predicted: what the rule picks", f"{SOURCE} -> {TARGET}", TARGET_POSES),
    ("the bound: trained on Human3.6M's labels", f"{SOURCE} -> {TARGET}", BOUND),
    ("... with the flip at test, which combinations have", f"{SOURCE} -> {TARGET}", BOUND_FLIPPED),
)
"""(what it is, direction, row of the benchmark's table)."""

OPEN, OWN_3D = "open", "the detector's own 3D"
"""Rows of benchmarks/real_people.py, which is slow to import."""

Table = tuple[list[str], list[list[str]]]
"""Columns and rows."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a page differs from the tables")
    args = parser.parse_args()
    for name, text in pages(ROOT).items():
        path = ROOT / name
        found = path.read_text() if path.exists() else ""
        if args.check and found != text:
            print(difference(name, found, text), file=sys.stderr)
            raise SystemExit(1)
        if not args.check:
            write_text(path, text)
            print(name)


def pages(root: Path) -> dict[str, str]:
    """{page: what it has to hold}, by the tables under `root`/benchmarks.

    Raises:
        DuaError: a table is missing, or a place in the template names what no table has.
    """
    readme = (root / README).read_text()
    if not _HEADLINE.search(readme):
        raise DuaError(
            f"{README} lacks the comments <!-- headline --> and <!-- end of headline -->, between which its table goes"
        )
    table = headline(root)
    return {
        PAGE: filled(root),
        ZOO: filled(root, ZOO_TEMPLATE),
        README: _HEADLINE.sub(lambda marks: f"{marks[1]}\n\n{table}\n\n{marks[2]}", readme),
    }


def filled(root: Path, template: str = TEMPLATE) -> str:
    """The template with its places filled."""
    lines, shown = [f"<!-- {MAKE} makes this page from {template} and the tables in benchmarks/: change those. -->"], True
    for number, line in enumerate((root / template).read_text().splitlines(), 1):
        place = _PLACE.fullmatch(line)
        if place and place[1] == "end":
            shown = True
        elif place and place[1].startswith("if "):
            shown = (root / "benchmarks" / place[1].removeprefix("if ")).exists()
        elif shown:
            try:
                lines.append(fill(root, place[1]) if place else line)
            except DuaError as error:
                raise DuaError(f"{template}, line {number}: {error}") from error
    return "\n".join(lines) + "\n"


def fill(root: Path, place: str) -> str:
    """What goes to a place, under a comment that names the file."""
    file, *parts = (part.strip() for part in place.split(" | "))
    sentences, file = file.startswith("goals "), file.removeprefix("goals ")
    path = root / "benchmarks" / file
    if not path.exists():
        raise DuaError(f"benchmarks/{file} does not exist")
    if path.suffix == ".txt":
        text = f"```\n{path.read_text().rstrip()}\n```"
    elif sentences:
        columns, rows = read(path)
        text = "\n".join(f"- {sentence}" for sentence in goals([tuple(row) for row in rows], columns))
    else:
        text = as_markdown(*chosen(read(path), parts))
    return f"<!-- benchmarks/{file} -->\n\n{text}"


def read(path: Path) -> Table:
    columns, *rows = csv.reader(path.read_text().splitlines())
    return columns, rows


def chosen(table: Table, parts: list[str]) -> Table:
    """The rows that 'column = value' names, without the columns that 'without column, column' names."""
    columns, rows = table
    left_out: list[str] = []
    for part in parts:
        if part.startswith("without "):
            left_out = part.removeprefix("without ").split(", ")
            continue
        column, _, value = part.partition(" = ")
        rows = [row for row in rows if row[index_of(columns, column)] == value]
    hidden = {index_of(columns, column) for column in left_out}
    if not rows:
        raise DuaError(f"no row has {' and '.join(parts)}")
    kept = [i for i in range(len(columns)) if i not in hidden]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def index_of(columns: list[str], column: str) -> int:
    if column not in columns:
        raise DuaError(f"no column '{column}'; there are {', '.join(columns)}")
    return columns.index(column)


def headline(root: Path) -> str:
    """The README's table: both networks' MPJPE and P-MPJPE against raw labels, of how many seeds, and the command of one training."""
    table = read(root / "benchmarks" / "results_two" / "table.csv")
    found = {
        name: [headline_row(table, direction, name, row) for _, direction, row in HEADLINE] for name in ("martinez", "semgcn")
    }
    columns = ["", f"Martinez, {seeds(found['martinez'])}", f"SemGCN, {seeds(found['semgcn'])}", "command"]
    errors = [
        [f"{of['MPJPE']} / {of['P-MPJPE']}" if of else "-" for of in both]
        for both in zip(found["martinez"], found["semgcn"], strict=True)
    ]
    rows = [[what, *errors[i], command(direction, row)] for i, (what, direction, row) in enumerate(HEADLINE)]
    return as_markdown(columns, [*rows, real_man(root)])


def headline_row(table: Table, direction: str, network: str, row: str) -> dict[str, str] | None:
    """{column: cell}, or None if it was not run."""
    columns, rows = table
    of = (dict(zip(columns, cells, strict=True)) for cells in rows)
    wanted = {"direction": direction, "network": network, "row": row, "labels": "raw"}
    return next((cells for cells in of if all(cells[name] == value for name, value in wanted.items())), None)


def seeds(rows: Iterable[dict[str, str] | None]) -> str:
    """Of how many seeds rows are means: '3 seeds', or '1 to 3 seeds' where they differ."""
    counts = sorted({int(row["seeds"]) for row in rows if row})
    if not counts:
        return "no run"
    many = "1 seed" if counts[-1] == 1 else f"{counts[-1]} seeds"
    return many if len(counts) == 1 else f"{counts[0]} to {many}"


def real_man(root: Path) -> list[str]:
    """The last row of the headline table: the open weights, and what the detector itself gives."""
    table = read(root / "benchmarks" / "results_real" / "table.csv")

    def cell(*where: str) -> str:
        columns, rows = chosen(table, list(where))
        return " / ".join(rows[0][index_of(columns, error)] for error in ("MPJPE", "P-MPJPE"))

    lifted = ("focal length = assumed", "poses = converted")
    own = cell(f"lifted by = {OWN_3D}")
    by_network = [cell(f"lifted by = {name}", *lifted) for name in (OPEN, f"{OPEN}/semgcn")]
    return [f"a real man, lifted by the open weights (by the detector itself: {own})", *by_network, "`train_open.py`"]


def command(direction: str, row: str) -> str:
    """What trains a row of Martinez's, or tests it where it is another's network."""
    of = ROWS[row]
    words = [*DIRECTIONS[direction], *of.switches(), *of.options]
    if of.on_target:
        words = ["evaluate.py", "RUN", *of.options] if of.tests else BOUND_SCRIPTS[direction, "martinez"]
    return f"`{' '.join(words)}`"


def difference(name: str, found: str, expected: str) -> str:
    """One line: where a page differs first from what it has to hold, and which table says so."""
    source = ""
    for number, lines in enumerate(zip_longest(found.splitlines(), expected.splitlines(), fillvalue=""), 1):
        old, new = (cells(line) for line in lines)
        if old != new:
            differing = next((pair for pair in zip(old, new) if pair[0] != pair[1]), (lines[0], lines[1]))
            return f"{name}, line {number}{source}: '{differing[0]}' stands there, it has to be '{differing[1]}'; run {MAKE}"
        if lines[1].startswith("<!-- benchmarks/"):
            source = f" ({lines[1].removeprefix('<!-- ').removesuffix(' -->')})"
    return f"{name} differs in white space; run {MAKE}"


def cells(line: str) -> list[str]:
    """Of a row of a table, without their padding; any other line is one."""
    return [re.sub(r"-{3,}", "---", cell.strip()) for cell in line.split("|")]


if __name__ == "__main__":
    run_script(main)
