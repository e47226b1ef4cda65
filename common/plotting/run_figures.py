"""Figures of finished runs, in the size in which a paper prints them: errors by joint and by action, training curves, uncertainty."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from common.figures import COLOURS, HATCHES, MARKERS, MOST_RUNS, legend_below, printable, subplots
from common.geometry.skeleton import JOINT_NAMES, ROOT
from common.plotting.finished_runs import Run, Spread

_MOST_ACTIONS = 20
_AVERAGE = "average"
_BAR = 0.062
"""Inches, of a bar in a column: thinner ones show no hatch."""
_GREY = "0.45"


def joint_errors(runs: Sequence[Run], names: Sequence[str], inches: float) -> Any:
    """Mean error of every joint but the hip, from which all are measured; a bar for each run."""
    hip = JOINT_NAMES[ROOT]
    return _bars(
        runs, names, inches, lambda run: {joint: mm for joint, mm in run.per_joint.items() if joint != hip}, "mean error, mm"
    )


def action_errors(runs: Sequence[Run], names: Sequence[str], inches: float) -> Any:
    """MPJPE of every action and the average of actions. Of more than 20, those with the largest errors of the first run."""
    return _bars(runs, names, inches, lambda run: {**run.per_action, _AVERAGE: run.average}, "MPJPE, mm")


def training_curves(
    runs: Sequence[Run], logs: Sequence[tuple[list[int], list[float]]], names: Sequence[str], inches: float
) -> Any:
    """Validation MPJPE over the epochs, the chosen epoch ringed; runs that were validated on different data stand in panels of their own.

    The first epochs' errors, some of a metre, would press everything after them into a line: where they are more than twice
    the others, the axis leaves them out, and the panel's title says so.
    """
    panels = list(dict.fromkeys(run.validated_on for run in runs))
    across = len(panels) if inches > 4 else 1
    figure, grid = subplots(len(panels) // across, across, (inches, 2.1 * len(panels) // across + 0.25 * len(names) / across))
    handles = []
    for axis, panel in zip(grid.flat, panels, strict=True):
        shown = [i for i, run in enumerate(runs) if run.validated_on == panel]
        highest = max(max(logs[i][1]) for i in shown)
        settled = max(max(_settled(logs[i][1])) for i in shown)
        top = 1.08 * (settled if highest > 2 * settled else highest)
        for i in shown:
            epochs, errors = logs[i]
            every = max(1, len(epochs) // 8)
            style = {"color": COLOURS[i], "marker": MARKERS[i], "linestyle": ("-", "--", "-.", ":")[i % 4]}
            handles += axis.plot(epochs, errors, markevery=(i % every, every), **style)
            best = int(np.argmin(errors))
            axis.plot(epochs[best], errors[best], "o", markersize=7, fillstyle="none", color=COLOURS[i], markeredgewidth=0.8)
        low = min(min(logs[i][1]) for i in shown)
        highest = max(max(logs[i][1]) for i in shown)
        axis.set(xlabel="epoch", ylabel="MPJPE, mm", ylim=(max(0, low - 0.25 * (top - low)), top))
        title = printable(panel, int(inches / across * 17), others=panels)
        if highest > top:
            title += f"\n(above the axis: up to {highest:,.0f} mm)"
        axis.set_title(title)
        axis.xaxis.get_major_locator().set_params(integer=True)
    order = [i for panel in panels for i, run in enumerate(runs) if run.validated_on == panel]
    ring = figure.axes[0].plot([], [], "o", markersize=7, fillstyle="none", color=_GREY, markeredgewidth=0.8)
    legend_below(figure, handles + ring, [*(names[i] for i in order), "epoch that was chosen"])
    return figure


def uncertainty_spread(spreads: Sequence[Spread], names: Sequence[str], inches: float) -> Any:
    """True error of joints over expected error, a panel for each: mean, and the ranges that hold the middle half and 80 %."""
    across = min(len(spreads), 4 if inches > 4 else 2)
    down = math.ceil(len(spreads) / across)
    letters = int(inches / across * 14)
    titles = [printable(name, letters, lines=4, others=names) + "\n" + printable(f"on {spread.test}", letters, lines=2)
              for name, spread in zip(names, spreads, strict=True)]  # fmt: skip
    lines = max(title.count("\n") + 1 for title in titles)
    size = (inches, down * (min(2.2, inches / across) + 0.1 * lines) + 0.35)
    figure, grid = subplots(down, across, size, sharex=True, sharey=True)
    handles: list[Any] = []
    right = max(max(spread.bins["expected_mm"]) for spread in spreads)
    for axis, spread, title in zip(grid.flat, spreads, titles, strict=False):
        bins = spread.bins
        x = bins["expected_mm"]
        handles = [
            axis.plot(x, bins["error_mm"], color=COLOURS[0], marker=MARKERS[0], markersize=2.5, zorder=3)[0],
            axis.fill_between(x, bins["error_mm_25%"], bins["error_mm_75%"], color="#56B4E9", alpha=0.75, linewidth=0),
            axis.fill_between(x, bins["error_mm_10%"], bins["error_mm_90%"], color="#56B4E9", alpha=0.3, linewidth=0),
            axis.plot([0, right], [0, right], color="black", linestyle="--", linewidth=0.8)[0],
        ]
        axis.set_title(title)
        axis.set(xlim=(0, 1.03 * right), ylim=(0, 1.03 * max(right, *(max(s.bins["error_mm_90%"]) for s in spreads))))
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("expected error, mm")
    for axis in grid[:, 0]:
        axis.set_ylabel("true error, mm")
    for axis in grid.flat[len(spreads) :]:
        axis.set_visible(False)
    legend_below(figure, handles, ["mean", "middle 50 %", "middle 80 %", "true = expected"])
    return figure


def _bars(runs: Sequence[Run], names: Sequence[str], inches: float, errors: Callable[[Run], dict[str, float]], label: str) -> Any:
    """Bars side by side: upright on a page, lying in a column, where names would not fit below them.

    Errors on different test data do not compare, so each test set has a panel of its own. Two of one name and of different
    numbers of poses are different too.
    """
    lying = inches < 4
    panels = list(dict.fromkeys((run.test, run.poses) for run in runs))
    tables = [{i: errors(run) for i, run in enumerate(runs) if (run.test, run.poses) == panel} for panel in panels]
    keys = [_categories(list(table.values())) for table in tables]
    heights = [len(names_) * (_BAR * len(table) + 0.055) + 0.45 if lying else 1.9 for names_, table in zip(keys, tables)]
    figure, grid = subplots(
        len(panels), 1, (inches, sum(heights) + 0.13 * len(names) + 0.15), gridspec_kw={"height_ratios": heights}
    )
    handles: dict[int, Any] = {}
    top = max(value for table in tables for values in table.values() for value in values.values())
    tests = [f"{test} ({poses:,} poses)" if [other for other, _ in panels].count(test) > 1 else test for test, poses in panels]
    for axis, test, table, shown in zip(grid.flat, tests, tables, keys, strict=True):
        places = np.arange(len(shown)) + (np.array(shown) == _AVERAGE) * 0.35  # the average stands apart
        thick = 0.82 / len(table)
        for k, (i, values) in enumerate(table.items()):
            at = places + (k - (len(table) - 1) / 2) * thick
            lengths = [values.get(key, math.nan) for key in shown]
            style = {
                "color": COLOURS[i],
                "hatch": HATCHES[i],
                "edgecolor": "white" if i == MOST_RUNS - 2 else "black",
                "linewidth": 0.4,
            }
            handles[i] = axis.barh(at, lengths, thick, **style) if lying else axis.bar(at, lengths, thick, **style)
        labels = [printable(key, 16, lines=2) for key in shown]
        count = _count([values for values in table.values()], len(shown))
        axis.set_title(printable(test + count, int(inches * 16), others=[f"{other}{count}" for other in tests]))
        if lying:
            axis.set_yticks(places, labels)
            axis.set(xlabel=label, xlim=(0, 1.03 * top), ylim=(places[-1] + 0.6, -0.6))
            axis.tick_params(axis="y", length=0)
        else:
            crowded = len(shown) * max(map(len, labels)) > inches * 15
            axis.set_xticks(
                places, labels, rotation=40 if crowded else 0, ha="right" if crowded else "center", rotation_mode="anchor"
            )
            axis.set(ylabel=label, ylim=(0, 1.03 * top), xlim=(-0.6, places[-1] + 0.6))
            axis.tick_params(axis="x", length=0)
    legend_below(figure, [handles[i] for i in sorted(handles)], names)
    return figure


def _categories(tables: Sequence[dict[str, float]]) -> list[str]:
    """Every key, in the order of the first that has it, the average last; of too many those with the largest errors."""
    keys = [key for key in dict.fromkeys(key for table in tables for key in table) if key != _AVERAGE]
    if len(keys) > _MOST_ACTIONS:
        keys = sorted(keys, key=lambda key: max(table.get(key, 0.0) for table in tables[:1]), reverse=True)[:_MOST_ACTIONS]
    return keys + ([_AVERAGE] if any(_AVERAGE in table for table in tables) else [])


def _count(tables: Sequence[dict[str, float]], shown: int) -> str:
    """What a title says where not every action is drawn."""
    there = len({key for table in tables for key in table})
    return f", {shown - 1} of {there - 1} actions, those with the largest errors" if shown < there else ""


def _settled(errors: Sequence[float]) -> Sequence[float]:
    """The errors without those of the first quarter, of which at least one epoch."""
    return errors[max(1, len(errors) // 4) :] or errors
