"""The table and the plot of the open benchmark."""

import pytest

from benchmarks.results_table import COLUMNS, goals, plot, table
from benchmarks.rows import (
    BEST,
    BOUND,
    BOUND_FLIPPED,
    CONVERTER,
    DIRECTIONS,
    DUA,
    NONE,
    PICKED,
    ROWS,
    SETS,
)


def judged_twice(row):
    """Whether a row that is tested on SURREAL is judged by converted labels as well."""
    return "converter" in row.modules or row.on_target


def results_for(rows, seeds=(0, 1)):
    """Made-up results: row i has 100 - i against converted labels and 200 - i against raw ones."""
    results = {}
    for direction in DIRECTIONS:
        for i, row in enumerate(rows):
            for seed in seeds:
                h36m = direction == "surreal -> h36m"
                both = not h36m and judged_twice(ROWS[row])
                raw = {"average": {"mpjpe": 200.0 - i + 2 * seed, "p_mpjpe": 80.0}}
                converted = {"mpjpe": 100.0 - i + 2 * seed, "p_mpjpe": 50.0 + seed}
                results[direction, "martinez", row, seed] = {
                    "average": converted if both or h36m else raw["average"],
                    "also": {"surreal, raw labels": raw} if both else {},
                }
    return results


def test_the_table_takes_means_spreads_and_shares():
    rows = table(results_for(ROWS))
    by_name = {row[:4]: dict(zip(COLUMNS[4:], row[4:], strict=False)) for row in rows}
    assert len(rows) == 2 * len(ROWS) + sum(judged_twice(row) for row in ROWS.values())
    none = by_name["surreal -> h36m", "martinez", NONE, "raw"]
    assert (none["MPJPE"], none["of none, %"], none["seeds"]) == ("101.0", "100.0", "2")
    uncertainty = rows[2]
    assert uncertainty[2:8] == ("+ uncertainty", "raw", "99.0", "1.4", "50.5", "0.7")
    bound = by_name["surreal -> h36m", "martinez", BOUND, "raw"]
    assert bound["of bound, %"] == "100.0"
    assert uncertainty[8:] == ("-", "-2.0", "-2.0", "98.0", f"{9900 / float(bound['MPJPE']):.1f}", "2")
    # Converted labels are compared with converted labels, raw ones with raw ones.
    i = list(ROWS).index(DUA)
    converted, raw = (by_name["h36m -> surreal", "martinez", DUA, labels] for labels in ("converted", "raw"))
    assert (converted["MPJPE"], converted["against none, mm"]) == (f"{101.0 - i:.1f}", f"{1 - i:+.1f}")
    assert (raw["MPJPE"], raw["against none, mm"]) == (f"{201.0 - i:.1f}", f"{-i:+.1f}")
    ways = [("surreal -> h36m", "raw"), ("h36m -> surreal", "raw"), ("h36m -> surreal", "converted")]
    expected = [(*way, chosen) for way in ways for chosen in sorted((*PICKED, BEST), reverse=True)]
    for line, (direction, labels, chosen) in zip(goals(rows), expected, strict=True):
        best, *bounds = (by_name[direction, "martinez", row, labels] for row in (chosen, BOUND, BOUND_FLIPPED))
        times, flipped = (float(best["MPJPE"]) / float(bound["MPJPE"]) for bound in bounds)
        by = ", converted labels" if labels == "converted" else ""
        assert line == (
            f"{direction}, martinez{by}: '{chosen}' has {best['of none, %']} % of no adaptation's error, {times:.2f} x the upper bound's"
            f" ({flipped:.2f} x with the flip)"
        )
    # Without the converter's row there is nothing converted to compare with but the bound.
    lacking = goals(table(results_for([row for row in ROWS if row != CONVERTER])))
    assert len(lacking) == len(expected)
    assert [line for line in lacking if "no adaptation" not in line] == [line for line in lacking if "converted labels" in line]
    assert not any("- %" in line for line in lacking)


def test_a_short_table_of_one_seed_and_its_plot(tmp_path):
    rows = table(results_for(SETS["short"], seeds=(7,)))
    assert {row[2] for row in rows} == set(SETS["short"])
    assert {row[5] for row in rows} == {"-"}
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "plot.pdf").read_bytes()[:4] == b"%PDF"


def test_without_no_adaptation_nothing_is_compared(tmp_path):
    rows = table(results_for([DUA]))
    assert {row[2] for row in rows} == {DUA}
    assert {row[9:12] for row in rows} == {("-", "-", "-")}
    plot(rows, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_rows_are_compared_over_the_seeds_that_both_have():
    results = results_for([NONE, DUA, BOUND], seeds=(0, 1))
    results |= {task: of for task, of in results_for([NONE, BOUND], seeds=(10,)).items()}  # 20 mm more
    rows = {row[:4]: dict(zip(COLUMNS[4:], row[4:], strict=False)) for row in table(results)}
    none, dua = (rows["surreal -> h36m", "martinez", row, "raw"] for row in (NONE, DUA))
    assert (none["seeds"], dua["seeds"]) == ("3", "2")
    assert dua["against none, mm"] == "-1.0"  # row 1 of these against row 0
    assert (dua["MPJPE"], dua["of bound, %"]) == ("100.0", "101.0")  # row 2 has 99 mm over these


def test_what_shares_no_seed_with_the_bound_is_not_held_against_it():
    lines = goals(table(results_for([NONE, BEST], seeds=(0, 1)) | results_for([BOUND], seeds=(2,))))
    assert lines == []
    assert goals(table(results_for([NONE, BEST, BOUND], seeds=(0, 1))))


def test_the_plot_has_converted_errors_as_diamonds(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("benchmarks.results_table.save", lambda figure, *_, **__: figures.append(figure))
    rows = table(results_for([NONE, CONVERTER, DUA, BOUND]))
    plot(rows, tmp_path / "plot")
    (to_h36m, to_surreal) = figures[0].axes
    assert not [line for line in to_h36m.lines if line.get_marker() == "D" and len(line.get_xdata())]
    (diamonds,) = [line for line in to_surreal.lines if line.get_marker() == "D"]
    expected = [float(row[4]) for row in rows if row[3] == "converted"]
    assert list(diamonds.get_xdata()) == expected
    assert [to_surreal.get_yticks()[int(place)] for place in diamonds.get_ydata()] == [1, 2, 3]
    assert "diamonds" in figures[0].get_supxlabel()


def test_a_detector_s_view_is_a_column_of_the_seeds_that_have_it():
    results = results_for([NONE, DUA])
    results["h36m -> surreal", "martinez", DUA, 1]["average"]["detector"] = 150.0
    results["h36m -> surreal", "martinez", DUA, 1]["also"]["surreal, raw labels"]["average"]["detector"] = 160.04
    rows = {row[:4]: dict(zip(COLUMNS[4:], row[4:], strict=True)) for row in table(results)}
    seen = {labels: rows["h36m -> surreal", "martinez", DUA, labels]["MPJPE, detector"] for labels in ("converted", "raw")}
    assert seen == {"converted": "150.0", "raw": "160.0"}
    assert rows["surreal -> h36m", "martinez", DUA, "raw"]["MPJPE, detector"] == "-"


def test_tables_of_before_had_fewer_columns():
    rows = table(results_for([NONE, BEST, BOUND]))
    place = COLUMNS.index("MPJPE, detector")
    older = [row[:place] + row[place + 1 :] for row in rows]
    assert goals(older, COLUMNS[:place] + COLUMNS[place + 1 :]) == goals(rows)
    place = COLUMNS.index("of bound, %")
    older = [row[:place] + row[place + 1 :] for row in rows]
    lines = goals(older, COLUMNS[:place] + COLUMNS[place + 1 :])
    ratios = [[float(line.rsplit(" x ")[0].split()[-1]) for line in each] for each in (lines, goals(rows))]
    assert ratios[0] == pytest.approx(ratios[1], abs=0.011)  # of rounded means, and of means
