"""A reader of TRC files, as strict as OpenSim's `TRCFileAdapter`."""

import numpy as np


def read_trc(path):
    """(metadata, markers, times (T,), (T, M, 3)): tabs part columns, empty ones do not count in the head, and every row is full."""
    lines = path.read_text().split("\n")
    assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"]
    assert len(lines[0].split("\t")) == 4
    keys, values = ([cell for cell in line.split("\t") if cell] for line in lines[1:3])
    assert keys == [
        "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames",
    ]  # fmt: skip
    metadata = dict(zip(keys, values, strict=True))
    markers = int(metadata["NumMarkers"])
    frame, time, *names = (cell for cell in lines[3].split("\t") if cell)
    assert (frame, time, len(names)) == ("Frame#", "Time", markers)
    for marker, name in enumerate(names):
        assert lines[3].split("\t")[2 + 3 * marker] == name, "a name stands above its X"
    axes = [cell for cell in lines[4].split("\t") if cell]
    assert axes == [f"{axis}{marker + 1}" for marker in range(markers) for axis in "XYZ"]
    assert lines[4].startswith("\t\tX1")
    assert lines[5] == ""
    assert lines[-1] == ""
    rows = [line.split("\t") for line in lines[6:-1]]
    assert all(len(row) == 2 + 3 * markers for row in rows)
    assert [int(row[0]) for row in rows] == list(range(1, int(metadata["NumFrames"]) + 1))
    numbers = np.array(rows, dtype=float)
    return metadata, names, numbers[:, 1], numbers[:, 2:].reshape(-1, markers, 3)
