"""Joints as markers in a TRC file ("track row column"), which OpenSim and its like fit their models to.

The file is in metres with y up, as OpenSim wants it. Its markers are our sixteen joints, centres of joints and not points on the skin,
so a model needs markers of these names in those places. Layout: OpenSim's `TRCFileAdapter`, which is strict about columns and tabs.
"""

from pathlib import Path

import numpy as np

from common.files.writing import write_text
from common.geometry.skeleton import JOINT_NAMES


def write_trc(path: str | Path, places: np.ndarray, fps: float) -> None:
    """Write places of joints (T, 16, 3), metres with y up, as a TRC file, whole or not at all.

    Args:
        fps: poses a second.
    """
    path = Path(path)
    frames, rate = len(places), f"{fps:.10g}"
    axes = [f"{axis}{marker}" for marker in range(1, len(JOINT_NAMES) + 1) for axis in "XYZ"]
    lines = [
        # Blanks and ends of lines in the name would be read as columns and lines.
        "PathFileType\t4\t(X/Y/Z)\t" + "_".join(path.name.split()),
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{len(JOINT_NAMES)}\tm\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(JOINT_NAMES),
        "\t\t" + "\t".join(axes),
        "",
    ]
    for frame, row in enumerate(places.reshape(frames, -1)):
        lines.append(f"{frame + 1}\t{frame / fps:.6f}\t" + "\t".join(f"{value:.6f}" for value in row))
    write_text(path, "\n".join(lines) + "\n")
