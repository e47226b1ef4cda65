"""Numbers of many words at once are those of `float`, and matrices of angles those of scipy, to the last bit."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from common.errors import DuaError
from common.files.numbers import read_numbers
from common.geometry.euler import euler_matrices
from common.mocap import bvh_parser
from common.mocap.bvh_parser import parse_bvh
from tests.helpers.bvh_text import SMALL

PLAIN = [
    "0",
    "-0",
    "+1",
    "12",
    "-12.5",
    "007.250",
    "5.",
    "-0.000001",
    "99999999",
    "123456789",
    "12345678.1234567",
    "0.12345678901234",
]
OTHER = ["1e3", "-4.3199e-07", "2E+2", ".5", "-.5", "1234567890.12345678", "0.1234567890123456789", "1_0", "\u0663.5", "1e-400"]
BROKEN = [
    "",
    "-",
    ".",
    "1..2",
    "1e5.",
    "1.2.3",
    "1-2",
    "--1",
    "+-1",
    "1.-2",
    "1e",
    "e5",
    "1e5.2",
    "0x1",
    "1,5",
    "nan",
    "inf",
    "1\x00",
    "\ufffd",
]


def by_float(lines: list[str], columns: int) -> np.ndarray | None:
    """As slow and as plain as can be."""
    words = [line.split() for line in lines]
    try:
        return np.array([[float(word) for word in row] for row in words]) if {len(row) for row in words} == {columns} else None
    except ValueError:
        return None


@pytest.mark.parametrize("word", PLAIN + OTHER)
def test_a_word_is_what_float_makes_of_it(word: str) -> None:
    found = read_numbers([f"\t{word}  1 ", f"2.5 {word}"], 2)
    if found is None:
        assert word in OTHER  # read word by word then
    else:
        assert found.tobytes() == np.array([[float(word), 1], [2.5, float(word)]]).tobytes()


def test_most_words_need_no_float() -> None:
    assert all(read_numbers([word], 1) is not None for word in PLAIN)


@pytest.mark.parametrize("word", [word for word in BROKEN if word not in ("nan", "inf")])
def test_a_broken_word_is_left_to_who_can_name_it(word: str) -> None:
    assert read_numbers(["1 2", f"3 {word}"], 2) is None


@pytest.mark.parametrize(
    ("lines", "columns"), [(["1 2", "3"], 2), (["1 2 3", "4"], 2), (["1", "2"], 2), (["1 2"], 0), (["1 ."], 1)]
)
def test_lines_of_other_lengths(lines: list[str], columns: int) -> None:
    assert read_numbers(lines, columns) is None


@given(
    st.lists(st.lists(st.floats(-1e9, 1e9) | st.integers(-(10**6), 10**6), min_size=3, max_size=3), min_size=1, max_size=4),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_written_numbers_come_back(rows: list[list[float]], data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(["{!r}", "{:.6f}", "{:g}", "{:.4f}", "{:e}", "{:.0f}", "{:+.10f}"]))
    lines = [data.draw(st.sampled_from([" ", "\t", "  \t"])).join(map(form.format, row)) for row in rows]
    found, expected = read_numbers(lines, 3), by_float(lines, 3)
    assert found is not None
    assert expected is not None
    assert found.tobytes() == expected.tobytes()


@given(st.lists(st.text("0123456789.-+eE \t_n\x1f\xa0", max_size=12), min_size=1, max_size=3), st.integers(1, 3))
@example(["1\x1f2"], 2)
@example(["0E0."], 1)
@settings(max_examples=300, deadline=None)
def test_no_text_is_read_otherwise_than_by_float(lines: list[str], columns: int) -> None:
    found = read_numbers(lines, columns)
    if found is not None:
        expected = by_float(lines, columns)
        assert expected is not None
        assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize("word", [*BROKEN, "1e9", "-2e10", *PLAIN, *OTHER])
@pytest.mark.parametrize("line", [0, 1])
def test_files_are_read_and_refused_as_line_by_line(word: str, line: int, monkeypatch: pytest.MonkeyPatch) -> None:
    head, *rows = SMALL.rsplit("1 2 3 4", 2)
    rows[line] = rows[line].replace("7", word)
    text = head + "1 2 3 4" + rows[0] + "1 2 3 4" + rows[1]

    def outcome() -> bytes | str:
        try:
            return parse_bvh(text, "odd.bvh").frames.tobytes()
        except DuaError as error:
            return str(error)

    fast = outcome()
    monkeypatch.setattr(bvh_parser, "read_numbers", lambda lines, columns: None)
    assert fast == outcome()


@pytest.mark.parametrize("order", ["ZXY", "XYZ", "YZX", "ZY", "X", ""])
def test_matrices_are_scipys(order: str) -> None:
    angles = np.random.default_rng(0).uniform(-400, 400, (200, len(order)))
    angles[:20] = np.round(angles[:20] / 90) * 90
    found = euler_matrices(order, list(angles.T))
    expected = Rotation.from_euler(order, angles, degrees=True).as_matrix() if order else np.eye(3)
    np.testing.assert_allclose(np.broadcast_to(found, np.shape(expected)), expected, rtol=0, atol=4e-16)
