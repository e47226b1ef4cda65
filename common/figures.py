"""What all figures share: colours, hatches, sizes of print, names that cannot break anything, and files that are the same each time."""

import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.files.writing import atomic_write

# matplotlib is imported in functions: it takes half a second that a run or a table need not wait for.

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito's, which colour-blind readers tell apart; markers and hatches say the same once more, for print in grey."""
MARKERS = "osD^vP*X"
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


def printable(name: str, characters: int = 1000, lines: int = 3) -> str:
    """`name` as it may stand in a figure: '$' starts no formula, nothing is unprintable, long ones are broken and then cut."""
    clean = "".join(c if c.isprintable() else " " for c in name.encode("utf-8", "replace").decode())
    rows = textwrap.wrap(clean, max(characters, 8)) or ["(no name)"]
    if len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1][:-1] + "…"]
    # matplotlib leaves names that begin with '_' out of legends.
    return "\n".join(rows).replace("$", r"\$").replace("_", " _", 1 if clean.startswith("_") else 0)


def legend_below(figure: Any, handles: Sequence[Any], names: Sequence[str]) -> None:
    """One legend for all panels, below them, in as many columns as the figure's width has room for."""
    letters = figure.get_figwidth() * 17  # of the legend's print, so many an inch or a few more
    lines = [printable(name, int(letters) - 8) for name in names]
    longest = max(len(row) for name in lines for row in name.split("\n"))
    columns = min(len(lines), max(1, int(letters // (longest + 7))))
    figure.legend(handles, lines, loc="outside lower center", ncols=columns, handlelength=2.2, columnspacing=1.2)
