"""Tables of strings as text, CSV, Markdown and LaTeX; and what a test is called in them."""

import csv
import io
from collections.abc import Sequence

Rows = Sequence[Sequence[str]]

RAW = "surreal, raw labels"
"""SURREAL's test against its own labels, beside that against labels which are brought to what a network predicts."""


def as_text(columns: Sequence[str], rows: Rows) -> str:
    """Aligned columns for a terminal; numbers to the right."""
    widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
    lines = [
        "  ".join(_aligned(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (columns, *rows)
    ]
    return "\n".join([lines[0], "-" * max(len(line) for line in lines), *lines[1:]])


def as_csv(columns: Sequence[str], rows: Rows) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows((columns, *rows))
    return buffer.getvalue()


def as_markdown(columns: Sequence[str], rows: Rows) -> str:
    """A pipe table, its columns aligned in the source as well; numbers to the right."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (columns, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(columns))]
    numeric = [all(_is_number(row[i].replace(",", "")) for row in rows) for i in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        aligned = (f"{c:>{width}}" if right else f"{c:<{width}}" for c, width, right in zip(row, widths, numeric, strict=True))
        return f"| {' | '.join(aligned)} |"

    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])])


def as_latex(columns: Sequence[str], rows: Rows) -> str:
    """A tabular for a paper, with booktabs' rules; numbers to the right."""
    numeric = [all(_is_number(row[i]) for row in rows) for i in range(len(columns))]
    body = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in (columns, *rows)]
    layout = "".join("r" if right else "l" for right in numeric)
    return "\n".join(
        [rf"\begin{{tabular}}{{{layout}}}", r"\toprule", body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}", ""]
    )


def _aligned(cell: str, width: int) -> str:
    return f"{cell:>{width}}" if _is_number(cell) else f"{cell:<{width}}"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell == "-"
    return True


_LATEX = {"\\": r"\textbackslash{}", **{c: "\\" + c for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _escaped(cell: str) -> str:
    return "".join(_LATEX.get(character, character) for character in cell)
