"""Tables as text, CSV, Markdown and LaTeX."""

import csv
import io

from common.evaluation.tables import as_csv, as_latex, as_markdown, as_text

COLUMNS = ("network", "MPJPE")
ROWS = [("semgcn_50%", "9.5"), ("a, b", "-"), ("martinez", "123.4")]


def test_text_is_aligned_with_numbers_to_the_right():
    lines = as_text(COLUMNS, ROWS).splitlines()
    assert lines[0] == "network     MPJPE"
    assert set(lines[1]) == {"-"}
    assert lines[2:] == ["semgcn_50%    9.5", "a, b            -", "martinez    123.4"]


def test_csv_reads_back():
    assert [tuple(row) for row in csv.reader(io.StringIO(as_csv(COLUMNS, ROWS)))] == [COLUMNS, *ROWS]


def test_latex_escapes_what_it_shows():
    text = as_latex(COLUMNS, ROWS)
    assert r"\begin{tabular}{lr}" in text
    assert r"semgcn\_50\% & 9.5 \\" in text
    assert text.count(r"\\") == 4


def test_markdown_puts_numbers_to_the_right_and_keeps_bars_in_their_cell():
    assert as_markdown(("a|b", "poses"), [("x", "1,000"), ("longer", "-")]).splitlines() == [
        r"| a\|b   | poses |",
        "| ------ | ----: |",
        "| x      | 1,000 |",
        "| longer |     - |",
    ]
