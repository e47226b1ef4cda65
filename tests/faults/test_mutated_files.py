"""Damaged files of every kind: refused by an error of ours, or read; never a traceback, a crash, a hang, or unbounded memory.

Where the format keeps check sums, what is read is what was written. `DUA_MUTATED_FILES=50000 pytest tests/faults` tries as
many files, of all kinds together, and others at every run.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.faults.kinds import KINDS
from tests.faults.mutations import damaged, edits
from tests.faults.sandbox import Sandbox

ASKED = int(os.environ.get("DUA_MUTATED_FILES", "0"))
EACH = (ASKED or 2500) // len(KINDS) + 1
SLOW = {"surreal h5": 2, "surreal h5, old": 2, "h36m cdf": 4}
"""Kinds that are read in a process of their own, a new one for each file, get so many times fewer."""


def same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        left, right = np.asarray(left), np.asarray(right)
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right))
    return bool(left == right)


def finite(value: Any) -> bool:
    """Whether no number that came out is NaN or infinite."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(finite, value))


@pytest.mark.campaign
@pytest.mark.parametrize("kind", KINDS)
def test_damaged(tmp_path: Path, kind: str) -> None:
    if kind == "h36m cdf":
        pytest.importorskip("cdflib")
    of = KINDS[kind]
    path = of.make(tmp_path)
    content = path.read_bytes()
    with Sandbox(of.load, path.parent) as sandbox:
        whole = sandbox.load(path.name, content)
        assert whole.kind == ("refused" if kind == "info mat 7.3" else "loaded"), whole.said

        @settings(
            max_examples=EACH // SLOW.get(kind, 1),
            deadline=None,
            derandomize=not ASKED,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(edits=edits())
        def check(edits: list) -> None:
            spoilt = damaged(content, edits)
            outcome = sandbox.load(path.name, spoilt)
            assert outcome.kind in ("loaded", "refused"), f"{outcome.kind}: {outcome.said}"
            if outcome.kind == "refused":
                assert path.name in outcome.said or path.parent.name in outcome.said, outcome.said
            elif of.sums:
                assert same(outcome.value, whole.value), "other data were read than were written, and no check sum told"
            else:
                assert finite(outcome.value), "numbers that are not finite were read"

        check()
