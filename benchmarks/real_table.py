"""The tables and goals of `benchmarks/real_people.py`."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.real_clip import COCO, JOINTS, Clip, Errors
from common.evaluation.tables import as_text

OWN_3D = "the detector's own 3D"
ASSUMED, TRUE = "assumed", "true"
AS_THEY_ARE, CONVERTED = "as they are", "converted"
_GOALS = (
    # what, of which poses, with which focal length, millimetres at most
    ("P-MPJPE", CONVERTED, ASSUMED, 60.0),
    ("P-MPJPE", AS_THEY_ARE, ASSUMED, 65.0),
    ("N-MPJPE", CONVERTED, ASSUMED, 82.0),
    ("MPJPE", CONVERTED, TRUE, 85.0),
)
_FIGURES: dict[str, Callable[[Errors], float]] = {
    "P-MPJPE": lambda errors: errors.p_mpjpe,
    "N-MPJPE": lambda errors: errors.n_mpjpe,
    "MPJPE": lambda errors: errors.mpjpe,
}


@dataclass(frozen=True)
class Row:
    """What is judged, and its errors before each camera.

    Attributes:
        name: of the checkpoint, or `OWN_3D`.
        focal_length: `ASSUMED`, `TRUE` or '-'.
        definition: of the joints, `AS_THEY_ARE` or `CONVERTED`.
        poses_3d: (C, T, 13, 3) metres in the cameras' axes.
    """

    name: str
    focal_length: str
    definition: str
    poses_3d: np.ndarray
    errors: tuple[Errors, ...]

    def mean(self, of: Callable[[Errors], float]) -> float:
        """Over the cameras."""
        return statistics.fmean(map(of, self.errors))


Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Columns and rows."""
_FIRST = ("lifted by", "focal length", "poses")


def table(rows: Sequence[Row]) -> Table:
    """Means over the cameras; P-MPJPE before each."""
    cameras = [f"P {i + 1}" for i in range(len(rows[0].errors))]
    columns = (*_FIRST, *_FIGURES, *cameras, "radius 90 %", "held %")
    cells = []
    for row in rows:
        known = [(e.radius_mm, e.held_all) for e in row.errors if e.radius_mm is not None and e.held_all is not None]
        radii = _radii(*np.mean(known, axis=0)) if known else _radii(None, None)
        means = (f"{row.mean(of):.1f}" for of in _FIGURES.values())
        cells.append((*_start(row), *means, *(f"{e.p_mpjpe:.0f}" for e in row.errors), *radii))
    return columns, cells


def by_camera(rows: Sequence[Row]) -> Table:
    """Everything before each camera; P, N and M are the three errors, R the median radius, if any row has one."""
    figures = {name[0]: lambda e, of=of: f"{of(e):.1f}" for name, of in _FIGURES.items()}
    if any(e.radius_mm is not None for row in rows for e in row.errors):
        figures["R"] = lambda e: _radii(e.radius_mm, e.held_all)[0]
        figures["held %"] = lambda e: _radii(e.radius_mm, e.held_all)[1]
    columns = (*_FIRST, *(f"{name} {camera + 1}" for name in figures for camera in range(len(rows[0].errors))))
    return columns, [(*_start(row), *(of(e) for of in figures.values() for e in row.errors)) for row in rows]


def by_joint(rows: Sequence[Row]) -> Table:
    """Means over the cameras: errors as P-MPJPE and as MPJPE count them, and the share within the 90 % radii."""
    columns = (*_FIRST, "error", *JOINTS)
    cells = []
    for row in rows:
        for kind, of in (("aligned", [e.by_joint_aligned for e in row.errors]), ("from hip", [e.by_joint for e in row.errors])):
            cells.append((*_start(row), f"{kind}, mm", *(f"{value:.0f}" for value in np.mean(of, axis=0))))
        held = [e.held for e in row.errors if e.held is not None]
        if held:
            cells.append((*_start(row), "held, %", "-", *(f"{100 * value:.0f}" for value in np.mean(held, axis=0))))
    return columns, cells


def _start(row: Row) -> tuple[str, str, str]:
    return row.name, row.focal_length, row.definition


def _radii(radius_mm: float | None, held: float | None) -> tuple[str, str]:
    return ("-", "-") if radius_mm is None or held is None else (f"{radius_mm:.0f}", f"{100 * held:.1f}")


def goals(rows: Sequence[Row]) -> list[str]:
    """What each network was asked for, and what it has. A goal of converted poses is left out where there are none, or asked of poses as they
    are if those have none of their own; a goal without focal length is asked of the row with it where there is no other."""
    detector = next(row for row in rows if row.name == OWN_3D)
    lines = []
    for name in dict.fromkeys(row.name for row in rows if row.name != OWN_3D):
        own = [row for row in rows if row.name == name]
        for figure, definition, focal_length, most in _GOALS:
            row = nearest(own, definition, focal_length)
            if row.definition == definition or figure != "P-MPJPE":
                found = row.mean(_FIGURES[figure])
                lines.append(
                    f"{name}: {figure} {found:.1f} ({described(row)}), at most {most:.0f} was the goal: {verdict(found <= most)}"
                )
        row = nearest(own, CONVERTED, ASSUMED)
        pairs = [(mine.p_mpjpe, its.p_mpjpe) for mine, its in zip(row.errors, detector.errors, strict=True)]
        said = ", ".join(f"{mine:.0f} to {its:.0f}" for mine, its in pairs)
        better = all(mine < its for mine, its in pairs)
        lines.append(
            f"{name}: P-MPJPE to the detector's before each camera {said} ({described(row)}), less was the goal: {verdict(better)}"
        )
    return lines


def nearest(rows: Sequence[Row], definition: str, focal_length: str) -> Row:
    """The row of such poses, of them that with such a focal length, as far as there are any."""
    return max(rows, key=lambda row: (row.definition == definition, row.focal_length == focal_length))


def described(row: Row) -> str:
    """Poses and focal length in words."""
    return f"{row.definition}, {row.focal_length} focal length"


def verdict(reached: bool) -> str:
    """Of a goal."""
    return "reached" if reached else "missed"


def report(clip: Clip, rows: Sequence[Row], times: Sequence[str]) -> str:
    """All that is printed."""
    used, body = clip.counted[clip.frames], clip.reprojection[:, clip.frames][:, :, list(COCO[5:])]
    lines = [
        f"{clip.frames.sum()} of {len(clip.frames)} frames before {len(clip.cameras)} cameras; {100 * used.mean():.1f} % of {len(JOINTS)} "
        f"joints have a reference there, {np.nanmedian(body):.1f} px (median) from where the cameras saw them",
        "errors in mm, means over frames and then cameras; P 1 to P 4: P-MPJPE before each camera",
        "",
        as_text(*table(rows)),
        "",
        "by camera: P-MPJPE, N-MPJPE, MPJPE, and where there are radii their median (R) and the share of joints that they hold",
        "",
        as_text(*by_camera(rows)),
        "",
        "by joint, means over the cameras: aligned as for P-MPJPE, from the hip as for MPJPE",
        "",
        as_text(*by_joint(rows)),
        "",
        *goals(rows),
        *times,
    ]
    return "\n".join(lines) + "\n"
