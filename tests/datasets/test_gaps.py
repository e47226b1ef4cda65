"""Joints that a detector did not find are no places at the corner for training, and the line about them says what they are."""

import numpy as np
import pytest

from common.datasets.h36m import load_h36m, load_h36m_2d
from common.errors import DuaError
from tests.helpers.h36m_files import make_2d, make_3d, write_2d, write_3d

FRAMES = 60
LOST = (slice(10, 20), [12, 13])  # left elbow and wrist of the seventeen


@pytest.fixture
def files(tmp_path):
    """(folder, positions_2d) of S1's Directions and Walking, seen by four cameras."""
    positions_3d = make_3d(subjects=("S1",), actions=("Directions", "Walking"), frames=FRAMES)
    write_3d(tmp_path, positions_3d)
    return tmp_path, make_2d(positions_3d)


def load(folder, positions_2d, loader=load_h36m):
    write_2d(folder, positions_2d)
    return loader(folder, "gt", ["S1"]).inputs_2d.numpy()


@pytest.mark.parametrize("mark", ["zero", "minus one", "confidence"])
@pytest.mark.parametrize("loader", [load_h36m, load_h36m_2d])
def test_what_was_not_found_is_interpolated_and_said(files, capsys, mark, loader):
    folder, positions_2d = files
    clean = load(folder, positions_2d, loader)
    assert capsys.readouterr().err == ""
    views = positions_2d["S1"]["Walking"]
    view = views[1]
    bridged = view.copy()
    for joint in LOST[1]:
        for axis in range(2):
            bridged[10:20, joint, axis] = np.interp(np.arange(10, 20), [9, 20], view[[9, 20], joint, axis])
    views[1] = bridged
    expected = load(folder, positions_2d, loader)
    assert capsys.readouterr().err == ""
    if mark == "confidence":
        views[:] = [np.concatenate([v, np.full((len(v), 17, 1), 0.9, dtype=v.dtype)], axis=-1) for v in views]
        views[1][..., :2] = view
        views[1][..., 2][LOST] = 0
    else:
        views[1] = view.copy()
        views[1][LOST] = 0 if mark == "zero" else -1
    loaded = load(folder, positions_2d, loader)
    np.testing.assert_allclose(loaded, expected, atol=1e-6)
    assert len(loaded) == len(clean)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines  # none that blames frames or cameras
    total = 16 * len(loaded)
    assert f"data_2d_h36m_gt.npz: 20 of {total:,d} joints (0.3%), in 1 sequence (S1 Walking 55011271), were not found" in lines[0]
    assert "interpolated between the frames in which they were found, over at most 10 frames" in lines[0]


def test_two_in_a_hundred_are_no_fault_of_frames_or_cameras(files, capsys):
    folder, positions_2d = files
    clean = load(folder, positions_2d)
    rng = np.random.default_rng(0)
    for views in positions_2d["S1"].values():
        for view in views:
            view[rng.random(view.shape[:2]) < 0.02] = 0
    loaded = load(folder, positions_2d)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert "in 8 sequences (S1 Directions 54138969, S1 Directions 55011271, ...), were not found" in lines[0]
    # One frame's way: not as far as the corner, 2 screen units away.
    assert np.abs(loaded - clean).max() < 0.3


def test_a_joint_near_the_corner_is_a_joint(files, capsys):
    folder, positions_2d = files
    view = positions_2d["S1"]["Walking"][0]
    view[5, 16] = 0, 0.25
    view[6, 16] = -1, 1
    loaded = load(folder, positions_2d)
    assert capsys.readouterr().err == ""
    np.testing.assert_allclose(loaded[4 * FRAMES + 5, 15], [-1, 0.25 / 500 - 1.002], atol=1e-6)


def test_a_view_in_which_a_joint_is_never_found_is_left_out(files, capsys):
    folder, positions_2d = files
    clean = load(folder, positions_2d)
    positions_2d["S1"]["Directions"][2][:, 6] = -1
    write_2d(folder, positions_2d)
    poses = load_h36m(folder, "gt", ["S1"])
    assert len(poses.sequences) == 7
    np.testing.assert_array_equal(poses.inputs_2d.numpy(), np.delete(clean, np.s_[2 * FRAMES : 3 * FRAMES], axis=0))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert (
        "1 sequence (S1 Directions 58860488) are left out of training and evaluation: a joint (LFoot) is found in none"
        in lines[0]
    )
    for views in positions_2d["S1"].values():
        for view in views:
            view[:, 6] = 0
    write_2d(folder, positions_2d)
    with pytest.raises(DuaError, match="no usable sequence"):
        load_h36m(folder, "gt", ["S1"])
