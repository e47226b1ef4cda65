"""What a set of judged uncertainties says, in sentences: every word of praise or blame is computed from the numbers at hand."""

from collections.abc import Callable, Sequence

import numpy as np

from common.uncertainty.report import CONSTANT, Judged

_LEVEL = "90%"


def findings(judged: Sequence[Judged]) -> list[str]:
    """Sentences on ranking, size and coverage on each test set, on what changes between test sets, and on who is best.

    A method may occur once on a test set (one checkpoint for each head), or its sentences would speak of two.
    """
    tests = {test: [row for row in judged if row.test == test] for test in dict.fromkeys(row.test for row in judged)}
    sentences = []
    for test, rows in tests.items():
        where = f"{test}, {rows[0].domain}"
        judged_rows = [row for row in rows if row.method != CONSTANT]
        constants = {row.facts["checkpoint"]: row.scores.ause_pose for row in rows if row.method == CONSTANT}
        sentences.append(
            f"{where}, ranking: error without the half of the poses that are called most uncertain, in % of that of all: "
            + _listed(judged_rows, lambda row: f"{100 * _at_half(row, 'uncertainty'):.0f}")
            + f"; an oracle {_oracle(judged_rows)}."
        )
        worse = [row.method for row in judged_rows if row.scores.ause_pose >= constants[row.facts["checkpoint"]]]
        sentences.append(
            f"{where}: "
            + (
                f"no better than a constant at ranking poses: {', '.join(worse)}."
                if worse
                else "all rank poses better than a constant."
            )
        )
        sentences.append(
            f"{where}, size: expected against true error of a joint: "
            + _listed(judged_rows, lambda row: f"{_means(row)[0]:.0f} against {_means(row)[1]:.0f} mm ({_verdict(row)})")
            + "."
        )
        sentences.append(
            f"{where}, radii that held 90 % of the joints in validation hold "
            + _listed(judged_rows, lambda row: f"{100 * _coverage(row):.0f} %, at {_radius(row):.0f} mm")
            + "."
        )
    sentences += _changes(list(tests.values()))
    sentences += _best(tests)
    return sentences


def _changes(tests: Sequence[Sequence[Judged]]) -> list[str]:
    """From the first test set to each other one."""
    sentences = []
    for rows in tests[1:]:
        for row in rows:
            before = next((other for other in tests[0] if other.method == row.method), None)
            if row.method == CONSTANT or before is None:
                continue
            growth = (row.scores.mpjpe_mm / before.scores.mpjpe_mm, _means(row)[0] / _means(before)[0])
            sentences.append(
                f"from {before.test} to {row.test}, {row.method}: the error is {growth[0]:.2f} times as large, the expected error "
                f"{growth[1]:.2f} times; coverage goes from {100 * _coverage(before):.0f} to {100 * _coverage(row):.0f} %, "
                f"AUSE of poses from {before.scores.ause_pose:.3f} to {row.scores.ause_pose:.3f}."
            )
    return sentences


def _best(tests: dict[str, list[Judged]]) -> list[str]:
    measures: dict[str, Callable[[Judged], float]] = {
        "AUSE of poses": lambda row: row.scores.ause_pose,
        "AUSE of joints": lambda row: row.scores.ause_joint,
        "ENCE": lambda row: row.scores.ence if row.scores.ence is not None else np.inf,
        "distance of coverage from 90 %": lambda row: abs(_coverage(row) - 0.9),
    }
    winners = {}
    for name, measure in measures.items():
        for test, rows in tests.items():
            winners[name, test] = min((row for row in rows if row.method != CONSTANT), key=measure).method
    distinct = set(winners.values())
    if len(distinct) == 1:
        return [f"best by every measure on every test set: {distinct.pop()}."]
    listed = []
    for name in measures:
        names = {test: winners[name, test] for test in tests}
        same = len(set(names.values())) == 1
        listed.append(
            f"{name}: " + (names.popitem()[1] if same else ", ".join(f"{who} on {test}" for test, who in names.items()))
        )
    return [f"the measures do not agree on the best: {'; '.join(listed)}."]


def _listed(rows: Sequence[Judged], say: Callable[[Judged], str]) -> str:
    return "; ".join(f"{row.method} {say(row)}" for row in rows)


def _at_half(row: Judged, curve: str) -> float:
    removed = np.array(row.scores.sparsification["removed"])
    return float(np.interp(0.5, removed, row.scores.sparsification[curve]))


def _oracle(rows: Sequence[Judged]) -> str:
    """The oracle knows the errors of one network; where there are several networks, from the least to the most."""
    values = sorted({f"{100 * _at_half(row, 'oracle'):.0f}" for row in rows}, key=int)
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _means(row: Judged) -> tuple[float, float]:
    """Mean expected and mean true error of the joints."""
    bins = row.scores.reliability
    assert bins is not None
    expected, true = (float(np.average(bins[name], weights=bins["joints"])) for name in ("expected_mm", "error_mm"))
    return expected, true


def _verdict(row: Judged) -> str:
    expected, true = _means(row)
    change = 100 * (expected / true - 1)
    return "within 5 %" if abs(change) < 5 else f"{abs(change):.0f} % too {'small' if change < 0 else 'large'}"


def _coverage(row: Judged) -> float:
    assert row.scores.coverage is not None
    return row.scores.coverage[_LEVEL]


def _radius(row: Judged) -> float:
    assert row.scores.radius_mm is not None
    return row.scores.radius_mm[_LEVEL]
