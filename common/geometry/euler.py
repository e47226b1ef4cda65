"""Euler angles to rotation matrices, many at once."""

from collections.abc import Sequence

import numpy as np


def euler_matrices(order: str, angles: Sequence[np.ndarray]) -> np.ndarray:
    """(T, 3, 3) of turns by `angles` (T,), degrees, first about the first axis of `order`, then about the turned second, and so on.

    By quaternions, with scipy's order of operations. Its own loop takes ten times as long.
    """
    x, y, z, w = 0.0, 0.0, 0.0, 1.0
    for number, (axis, angle) in enumerate(zip(order, angles, strict=True)):
        half = np.deg2rad(angle) / 2
        turn = [0.0, 0.0, 0.0, np.cos(half)]
        turn["XYZ".index(axis)] = np.sin(half)
        a, b, c, d = turn
        x, y, z, w = (
            (a, b, c, d)
            if number == 0
            else (
                w * a + d * x + (y * c - z * b),
                w * b + d * y + (z * a - x * c),
                w * c + d * z + (x * b - y * a),
                w * d - x * a - y * b - z * c,
            )
        )
    xx, yy, zz, ww = x * x, y * y, z * z, w * w
    xy, xz, yz, xw, yw, zw = x * y, x * z, y * z, x * w, y * w, z * w
    rows = (
        (xx - yy - zz + ww, 2 * (xy - zw), 2 * (xz + yw)),
        (2 * (xy + zw), -xx + yy - zz + ww, 2 * (yz - xw)),
        (2 * (xz - yw), 2 * (yz + xw), -xx - yy + zz + ww),
    )
    matrices = np.empty((*np.shape(w), 3, 3))
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            matrices[..., i, j] = entry
    return matrices
