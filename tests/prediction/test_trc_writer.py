"""A TRC file as OpenSim's `TRCFileAdapter` reads it: by a reader of our own that is as strict."""

import numpy as np
import pytest

from common.geometry.skeleton import JOINT_NAMES
from common.prediction.trc_writer import write_trc
from tests.helpers.trc_files import read_trc


def test_it_is_read_back(tmp_path):
    places = np.random.default_rng(0).normal(size=(5, 16, 3))
    path = tmp_path / "walk.trc"
    write_trc(path, places, 29.97)
    metadata, names, times, found = read_trc(path)
    assert path.read_text().split("\n")[0].endswith("\twalk.trc")
    assert tuple(names) == JOINT_NAMES
    assert [metadata[key] for key in ("DataRate", "CameraRate", "Units", "OrigDataStartFrame")] == ["29.97", "29.97", "m", "1"]
    assert metadata["OrigNumFrames"] == "5"
    np.testing.assert_allclose(times, np.arange(5) / 29.97, atol=1e-6)
    np.testing.assert_allclose(found, places, atol=1e-6)


@pytest.mark.parametrize("name", ["a b.trc", "a\tb.trc", "a\nb.trc"])
def test_names_with_blanks_stay_one_column_of_one_line(tmp_path, name):
    write_trc(tmp_path / name, np.zeros((1, 16, 3)), 30)
    read_trc(tmp_path / name)
    assert (tmp_path / name).read_text().split("\n")[0].split("\t")[3] == "a_b.trc"
