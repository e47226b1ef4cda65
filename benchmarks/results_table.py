"""The table and the plot of the open cross-dataset benchmark."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import BEST, BOUND, BOUND_FLIPPED, CONVERTER, DIRECTIONS, DUA, NONE, ORACLE, PICKED, ROWS, SELECTED
from common.evaluation.tables import RAW
from common.figures import save, subplots

COLUMNS = (
    "direction",
    "network",
    "row",
    "labels",
    "MPJPE",
    "+-",
    "P-MPJPE",
    "+-",
    "MPJPE, detector",
    "against none, mm",
    "%",
    "of none, %",
    "of bound, %",
    "seeds",
)

_MPJPE = COLUMNS.index("MPJPE")
_SPREAD = _MPJPE + 1

Task = tuple[str, str, str, int]
"""Direction, network, row, seed."""

ON_DETECTOR = "detector"
"""MPJPE on the target's 2D as a detector sees it, among a result's averages, where the data have such 2D."""

PAPER = (
    "The paper, on Human3.6M and SURREAL themselves, SURREAL -> Human3.6M: 44.1 mm (29.24 %) less than no adaptation, "
    "so about 151 mm without and 107 mm with DUA (Sensors 2023, 23(17), 7312, from its abstract)."
)


def table(results: Mapping[Task, dict[str, Any]]) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS`. Where the target is SURREAL, a row with a converter has an error against converted and one against raw
    labels, and so has the bound, where it was judged by both. Each is compared with no adaptation against the same labels, if that is
    there: `+ converter` is that where the labels are converted, since the converter does not reach training there; and with the bound."""
    rows = []
    for direction in DIRECTIONS:
        for network in sorted({task[1] for task in results}):
            for row, described in ROWS.items():
                both = direction == "h36m -> surreal" and ("converter" in described.modules or described.on_target)
                for raw in (False, True) if both else (True,):
                    errors = _errors(results, direction, network, row, raw)
                    if errors:
                        rivals = _errors(results, direction, network, NONE if raw else CONVERTER, raw)
                        bounds = _errors(results, direction, network, BOUND, raw)
                        rows.append((direction, network, row, "raw" if raw else "converted", *_cells(errors, rivals, bounds)))
    return rows


def _errors(
    results: Mapping[Task, dict[str, Any]], direction: str, network: str, row: str, raw: bool
) -> dict[int, dict[str, float]]:
    """{seed: averages} of the runs that were judged by such labels."""
    wanted = {
        task[3]: result
        for task, result in results.items()
        if task[:3] == (direction, network, row) and (raw or RAW in result["also"])
    }
    return {seed: average(result, raw) for seed, result in sorted(wanted.items())}


def average(result: dict[str, Any], raw: bool) -> dict[str, float]:
    """The averages against raw labels, or against what the script reports first."""
    if raw and RAW in result["also"]:
        return result["also"][RAW]["average"]
    return result["average"]


Errors = Mapping[int, Mapping[str, float]]
"""{seed: averages}."""


def _cells(errors: Errors, rivals: Errors, bounds: Errors) -> tuple[str, ...]:
    """Means over all seeds of a row, and over those with a detector's 2D; against no adaptation and the bound over the seeds that both have."""
    cells = []
    for key in ("mpjpe", "p_mpjpe"):
        values = [error[key] for error in errors.values()]
        cells += [f"{statistics.fmean(values):.1f}", f"{statistics.stdev(values):.1f}" if len(values) > 1 else "-"]
    detected = [error[ON_DETECTOR] for error in errors.values() if ON_DETECTOR in error]
    cells.append(f"{statistics.fmean(detected):.1f}" if detected else "-")
    against: tuple[str, ...] = ("-", "-", "-")
    if none := _shared(errors, rivals):
        against = (f"{none[0] - none[1]:+.1f}", f"{100 * (none[0] / none[1] - 1):+.1f}", f"{100 * none[0] / none[1]:.1f}")
    bound = _shared(errors, bounds)
    return *cells, *against, f"{100 * bound[0] / bound[1]:.1f}" if bound else "-", str(len(errors))


def _shared(errors: Errors, others: Errors) -> tuple[float, float] | None:
    """Mean MPJPE of both, over the seeds that both have."""
    seeds = sorted(errors.keys() & others.keys())
    return (*(statistics.fmean(of[seed]["mpjpe"] for seed in seeds) for of in (errors, others)),) if seeds else None


def goals(rows: Iterable[tuple[str, ...]], columns: Sequence[str] = COLUMNS) -> list[str]:
    """Of each direction and network: how far combinations that were chosen without labels are from no adaptation, and from the upper bound,
    against raw labels, which the upper bound has learnt, and against converted ones, which its poses are converted for as well; and from the
    bound that is tested with the flip, as they are. `columns` are those of the rows; tables of before have fewer."""
    by_name = {row[:4]: dict(zip(columns[4:], row[4:], strict=True)) for row in rows}
    lines = []
    for (direction, network, row, labels), found in by_name.items():
        bound, flipped = (by_name.get((direction, network, name, labels)) for name in (BOUND, BOUND_FLIPPED))
        times = _times(found, bound) if bound and row in (BEST, *PICKED) else None
        if times is None:
            continue
        by = ", converted labels" if labels == "converted" else ""
        # No adaptation may not have been run, or not converted.
        share = f"{found['of none, %']} % of no adaptation's error, " if found["of none, %"] != "-" else ""
        of_flipped = _times(flipped, bound) if flipped and bound else None
        with_flip = f" ({times / of_flipped:.2f} x with the flip)" if of_flipped else ""
        lines.append(
            f"{direction}, {network}{by}: '{row}' has {share}{times:.2f} x the upper bound's{'' if share else ' error'}{with_flip}"
        )
    return sorted(lines, reverse=True)


def _times(found: Mapping[str, str], bound: Mapping[str, str]) -> float | None:
    """How many times the bound's error a row has, over the seeds that both have; None where there are none. Tables of before say it of all seeds."""
    share = found.get("of bound, %")
    if share is None:
        return float(found["MPJPE"]) / float(bound["MPJPE"])
    return float(share) / 100 if share != "-" else None


_COLOURS = {
    NONE: "#777777",
    DUA: "#0072b2",
    BEST: "#009e73",
    **dict.fromkeys(PICKED, "#009e73"),
    BOUND: "#000000",
    BOUND_FLIPPED: "#000000",
    SELECTED: "#e69f00",
    ORACLE: "#e69f00",
}  # Okabe and Ito's, told apart by the colour-blind


def plot(rows: list[tuple[str, ...]], path: Path) -> None:
    """Bars of every row's error against raw labels with its standard deviation, and a diamond at that against converted ones where there are any, a
    panel for each direction and network, as `path`.png and .pdf; what a panel has not got is left free."""
    converted = {row[:3]: float(row[_MPJPE]) for row in rows if row[3] == "converted"}
    rows = [row for row in rows if row[3] == "raw"]
    panels = list(dict.fromkeys((row[0], row[1]) for row in rows))
    names = [name for name in ROWS if any(row[2] == name for row in rows)]
    figure, axes = subplots(1, len(panels), (2.0 * len(panels) + 2.6, 0.17 * len(names) + 0.9))
    for axis, panel in zip(axes[0], panels, strict=True):
        shown = {row[2]: row for row in rows if (row[0], row[1]) == panel}
        places = [names.index(name) for name in shown]
        values = [float(row[_MPJPE]) for row in shown.values()]
        axis.barh(places, values, color=[_COLOURS.get(name, "#9ecae1") for name in shown], height=0.7)
        found = zip(values, places, [row[_SPREAD] for row in shown.values()], strict=True)
        spread = [(value, place, float(deviation)) for value, place, deviation in found if deviation != "-"]
        if spread:
            means, at, deviations = zip(*spread, strict=True)
            axis.errorbar(means, at, xerr=deviations, fmt="none", ecolor="#333333", elinewidth=0.8, capsize=1.5)
        others = {places[i]: converted[row[:3]] for i, row in enumerate(shown.values()) if row[:3] in converted}
        axis.plot(
            list(others.values()), list(others), "D", color="white", markeredgecolor="black", markersize=3.2, markeredgewidth=0.8
        )
        axis.set_yticks(range(len(names)), names if axis is axes[0][0] else [""] * len(names), fontsize=6)
        axis.set_ylim(len(names) - 0.4, -0.6)
        if NONE in shown:
            axis.axvline(float(shown[NONE][_MPJPE]), color="#777777", linewidth=0.6, linestyle=":")
        axis.tick_params(axis="x", labelsize=6)
        axis.set_title(f"{panel[0].replace('->', '→')}\n{panel[1]}", fontsize=7)
    labels = (
        "bars: raw labels of the target; diamonds: converted to the skeleton that is learnt"
        if converted
        else "raw labels of the target"
    )
    figure.supxlabel(f"MPJPE, mm; {labels}", fontsize=7)
    save(figure, path.with_suffix(".png"), path.with_suffix(".pdf"), dpi=200)
