"""Numbers of text, many at once: the bits that `float` of each word gives, in a fraction of its time."""

from collections.abc import Sequence

import numpy as np

_MOST_DIGITS = 15
"""Of a whole number that float64 holds, whatever its digits are."""
_POWERS = 10.0 ** np.arange(_MOST_DIGITS + 2)  # exact up to 10^22
_SPACE, _TAB, _NEWLINE, _PLUS, _MINUS, _POINT = b" \t\n+-."
_LAST = np.array([0] + [2**64 - 2 ** (64 - 8 * count) for count in range(1, 9)], np.uint64)
"""Masks of the last so many of eight bytes."""


def read_numbers(lines: Sequence[str], columns: int) -> np.ndarray | None:
    """(lines, columns) of lines of words; None where `float` of each word has to tell what is in them.

    Digits with a point among them are a whole number over a power of ten. Both are exact in float64 up to 15 digits, so the division
    rounds once, as `float` does. Words of another form are left to `float`.
    """
    text = (" " * 16 + "\n".join(("", *lines, ""))).encode(errors="replace")
    codes = np.frombuffer(text, np.uint8)
    points, breaks = codes == _POINT, codes == _NEWLINE
    between = points | breaks | (codes == _SPACE) | (codes == _TAB)
    edges = np.flatnonzero(between[1:] != between[:-1]) + 1  # the text starts and ends with a space
    starts, stops = edges[::2], edges[1::2]  # of what stands between spaces and points
    behind = points[starts - 1]  # a point
    heads = np.flatnonzero(~behind)  # the first of each word
    per_line = np.diff(np.searchsorted(starts[heads], np.flatnonzero(breaks)))
    before = points[stops]
    # Each point has a head before it, so no word is a point alone; what follows it is not followed by another.
    if len(per_line) != len(lines) or (per_line != columns).any() or not columns:
        return None
    if np.count_nonzero(before) != np.count_nonzero(points) or (before & behind).any():
        return None

    signs = codes[starts[heads]]
    minus = signs == _MINUS
    digits = stops - starts
    digits[heads] -= minus | (signs == _PLUS)
    values, plain = _whole_numbers(text, stops, digits)
    result, regular = values[heads], plain[heads]
    tails = np.flatnonzero(behind)
    words = tails - np.arange(1, len(tails) + 1)  # that they end: there is a head before each
    decimals = digits[tails]
    shift = _POWERS[np.minimum(decimals, _MOST_DIGITS + 1)]
    result[words] = (result[words] * shift + values[tails]) / shift
    regular[words] &= plain[tails] & (digits[heads[words]] + decimals <= _MOST_DIGITS)
    np.negative(result, out=result, where=minus)
    others = np.flatnonzero(~regular)
    if len(others):
        ends = np.append(heads[1:], len(stops))[others] - 1
        last = stops[ends] + before[ends]  # with the point that a word may end in
        try:
            for word, start, stop in zip(others.tolist(), starts[heads[others]].tolist(), last.tolist(), strict=True):
                result[word] = float(text[start:stop])
        except ValueError:
            return None
    return result.reshape(len(lines), columns)


def _whole_numbers(text: bytes, stops: np.ndarray, digits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers that end at `stops` (N,) of the text, and whether they are so many digits, at least 1 and at most 15."""
    eights = np.ndarray(len(text) - 7, "<u8", text, strides=(1,))  # the eight bytes from each on
    values, plain = _eight_digits(eights[stops - 8], np.minimum(digits, 8))
    if digits.max() > 8:
        more, also = _eight_digits(eights[stops - 16], np.clip(digits - 8, 0, 8))
        values, plain = values + 1e8 * more, plain & also
    return values, plain & (digits > 0) & (digits <= _MOST_DIGITS)


def _eight_digits(eights: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers (N,) that the last `count` of eight bytes spell, and whether these are digits: by neighbours, pairs and fours at once."""
    digits = (eights ^ 0x3030303030303030) & _LAST[count]
    plain = ((digits + 0x7676767676767676) | digits) & 0x8080808080808080 == 0
    pairs = (digits * 2561 >> 8) & 0x00FF00FF00FF00FF
    fours = (pairs * 6553601 >> 16) & 0x0000FFFF0000FFFF
    return (fours * 42949672960001 >> 32).astype(np.float64), plain
