"""What all figures share: colours, hatches, sizes of print, names that cannot break anything, and files that are the same each time."""

import re
import textwrap
import warnings
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from common.files.writing import atomic_write

# matplotlib is imported in functions: it takes half a second that a run or a table need not wait for.

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's, which colour-blind readers tell apart; markers and hatches say the same once more, for print in grey."""
MARKERS = "osD^vP*X"
MOST_RUNS = len(COLOURS)
"""Runs that can be told apart in a figure."""
HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\", "++++", "")
WIDTHS = {"column": 3.3, "page": 7.0}
"""Inches, of a page with two columns."""

PAPER = {
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.2,
    "hatch.linewidth": 0.5,
}
"""matplotlib's settings for a figure in its final size."""


def subplots(rows: int, columns: int, inches: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """A figure and its (rows, columns) axes, without frames to the right and above. It belongs to no window and needs no closing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in grid.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, grid


def save(figure: Any, *paths: str | Path, dpi: int = 300) -> None:
    """Write a figure as PNG or PDF, as each path's ending says, whole or not at all. The same figure gives the same bytes: no date
    is kept. A PDF holds its letters as TrueType, which publishers ask for.

    Raises:
        DuaError: a path cannot be written.
    """
    import matplotlib

    with matplotlib.rc_context({"pdf.fonttype": 42}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is seen as a box; a line for each says no more
        for path in map(Path, paths):
            metadata = {"CreationDate": None} if path.suffix == ".pdf" else {"Software": None}
            with atomic_write(path) as file:
                figure.savefig(file, format=path.suffix[1:], dpi=dpi, metadata=metadata)


def printable(name: str, characters: int = 1000, lines: int = 3, others: Sequence[str] = ()) -> str:
    """`name` as it may stand in a figure: '$' starts no formula, nothing is unprintable, long ones are broken and then cut where
    they are as the `others` beside them."""

    def rows(text: str) -> list[str]:
        return textwrap.wrap(text, max(characters, 8)) or ["(no name)"]

    clean = cut(_clean(name), [_clean(other) for other in others], lambda text: len(rows(text)) <= lines)
    # matplotlib leaves names that begin with '_' out of legends.
    return "\n".join(rows(clean)).replace("$", r"\$").replace("_", " _", 1 if clean.startswith("_") else 0)


def _clean(name: str) -> str:
    return "".join(c if c.isprintable() else " " for c in name.encode("utf-8", "replace").decode())


def cut(name: str, others: Sequence[str], fits: Callable[[str], bool]) -> str:
    """`name` with '…' in place of letters until it `fits`: first those that it shares with the most similar of the `others`, at its
    beginning or end, and what tells it from them only if that alone is too long."""
    if fits(name):
        return name
    others = [other for other in others if other != name]
    start = max((_alike(name, other) for other in others), default=0)
    end = len(name) - max((_alike(name[start:][::-1], other[::-1]) for other in others), default=0)
    # With a dozen letters on either side, or as many of them as make whole words.
    start -= len(re.sub(r"\A.*?[\s_/]", "", name[start - 12 : start])) if start > 12 else start
    end += len(re.sub(r"[\s_/][^\s_/]*\Z", "", name[end : end + 12])) if len(name) - end > 12 else len(name) - end
    before, after = start, len(name) - end
    while before or after:
        before, after = (before, after - 1) if after >= before else (before - 1, after)
        beginning, ending = name[:before], name[start : end + after]
        beginning = beginning if before == start else beginning.rstrip() + "…"
        shown = beginning + (ending if end + after == len(name) else ending.rstrip() + "…")
        if fits(shown):
            return shown
    for kept in range(end - start - 1, 0, -1):
        shown = "…" * (start > 0) + name[start : start + kept].rstrip() + "…"
        if fits(shown):
            return shown
    return "…"


def _alike(one: str, other: str) -> int:
    """How many letters are the same, from the first on."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))


def legend_below(figure: Any, handles: Sequence[Any], names: Sequence[str]) -> None:
    """One legend for all panels, below them, in as many columns as the figure's width has room for."""
    letters = figure.get_figwidth() * 17  # of the legend's print, so many an inch or a few more
    lines = [printable(name, int(letters) - 8, others=names) for name in names]
    longest = max(len(row) for name in lines for row in name.split("\n"))
    columns = min(len(lines), max(1, int(letters // (longest + 7))))
    figure.legend(handles, lines, loc="outside lower center", ncols=columns, handlelength=2.2, columnspacing=1.2)
