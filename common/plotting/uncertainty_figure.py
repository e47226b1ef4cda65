"""The figure of `evaluate.py --uncertainty`: reliability diagram and sparsification curves, a row of the two for each test set."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.figures import COLOURS, MARKERS, MOST_RUNS, save, subplots
from common.training.facts import ORACLE
from common.uncertainty.report import CONSTANT, RAW_LABELS, Judged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAST = 98
"""Percent removed where sparsification curves end: the mean of the few poses after it is noise."""
_CLEAR = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}


def plot_uncertainty(path: str | Path, judged: Sequence[Judged]) -> bool:
    """Write `uncertainty_figure` as PNG; False, and nothing is written, where its curves could not be told apart."""
    if len({_key(row) for row in judged if row.method != CONSTANT}) > MOST_RUNS:
        return False
    save(uncertainty_figure(judged), path, dpi=200)
    return True


def uncertainty_figure(judged: Sequence[Judged]) -> "Figure":
    """Draw every row but the constants; a colour and marker for each checkpoint and method."""
    names = _names([row for row in judged if row.method != CONSTANT])
    styles = {
        key: {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "markersize": 3.5, "label": name}
        for i, (key, name) in enumerate(names.items())
    }
    tests = list(dict.fromkeys(row.test for row in judged))
    legend_lines = (len(names) + 2) // 3
    size = (7.2, 3.3 * len(tests) + 0.2 * legend_lines)
    figure, grid = subplots(len(tests), 2, size)
    for (reliability, sparsification), test in zip(grid, tests, strict=True):
        rows = [row for row in judged if row.test == test and row.method != CONSTANT]
        _reliability(reliability, rows, styles)
        _sparsification(sparsification, rows, styles)
        where = "; ".join(dict.fromkeys(row.domain + (", raw labels" if row.labels == RAW_LABELS else "") for row in rows))
        for axis, title in ((reliability, "reliability"), (sparsification, "sparsification")):
            axis.set_title(f"{title} on {test} ({where})", fontsize=9)
            axis.tick_params(labelsize=8)
            axis.xaxis.label.set_fontsize(8.5)
            axis.yaxis.label.set_fontsize(8.5)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(3, len(names)), frameon=False, fontsize=8, columnspacing=1.2
    )
    return figure


def _reliability(axis: Any, rows: Sequence[Judged], styles: dict[Any, dict[str, Any]]) -> None:
    top = 0.0
    for row in rows:
        bins = row.scores.reliability
        assert bins is not None
        axis.plot(bins["expected_mm"], bins["error_mm"], linewidth=1.2, **styles[_key(row)])
        top = max(top, *bins["expected_mm"], *bins["error_mm"])
    axis.plot([0, top], [0, top], color="0.7", linewidth=0.8, zorder=0)
    axis.text(
        0.97 * top, 0.9 * top, "calibrated", rotation=45, rotation_mode="anchor", ha="right", va="top", color="0.45", fontsize=7.5
    )
    axis.set(xlim=(0, 1.04 * top), ylim=(0, 1.04 * top), aspect="equal")
    axis.set(xlabel="expected error of a joint, mm", ylabel="true error of these joints, mm")


def _sparsification(axis: Any, rows: Sequence[Judged], styles: dict[Any, dict[str, Any]]) -> None:
    oracles = {}
    for row in rows:
        curve = row.scores.sparsification
        shown = [i for i, share in enumerate(curve["removed"]) if 100 * share <= _LAST]
        removed = [100 * curve["removed"][i] for i in shown]
        axis.plot(removed, [curve["uncertainty"][i] for i in shown], linewidth=1.2, markevery=10, **styles[_key(row)])
        # The oracle is of the predictions, whatever tells their errors.
        oracles[row.facts["checkpoint"]] = removed, [curve["oracle"][i] for i in shown]
    for removed, oracle in oracles.values():
        axis.plot(removed, oracle, linewidth=0.9, linestyle="--", color="0.45", zorder=0)
    removed, oracle = min(oracles.values(), key=lambda curve: curve[1][len(curve[1]) // 2])
    middle = len(oracle) // 2
    axis.text(removed[middle], oracle[middle] - 0.03, "oracle", ha="right", va="top", color="0.45", fontsize=7.5)
    axis.axhline(1, color="0.7", linewidth=0.8, zorder=0)
    axis.text(100, 1.01, "constant", ha="right", va="bottom", color="0.45", fontsize=7.5, bbox=_CLEAR)
    axis.set(xlim=(0, 100), ylim=(0, None), xlabel="most uncertain poses removed, %", ylabel="MPJPE of the rest / of all")


def _key(row: Judged) -> tuple[str, str]:
    return row.facts["checkpoint"], row.method


def _names(rows: Sequence[Judged]) -> dict[tuple[str, str], str]:
    """{(checkpoint, method): name in the legend}; where it takes that to tell two apart, the checkpoint's place in the command."""
    files = list(dict.fromkeys(row.facts["checkpoint"] for row in rows))
    names = {}
    for row in rows:
        arrow = f" → {row.facts['target']}" if row.facts["target"] else ""
        oracle = ", oracle selection" if row.facts["selection"] == ORACLE else ""
        names[_key(row)] = f"{row.facts['source']}{arrow}, {row.method}{oracle}"
    often = Counter(names.values())
    return {key: name if often[name] == 1 else f"{name}, run {files.index(key[0]) + 1}" for key, name in names.items()}
