"""Joints in the axes of a camera, or of any world but Human3.6M's, are not taken for joints in its world."""

import numpy as np
import pytest
import scipy.io

from common.datasets.h36m import load_h36m
from common.errors import DuaError
from common.geometry.camera import world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.preparation.h36m_sources import read_mat
from tests.helpers.h36m_files import make_2d, make_3d, moving_body, write_2d, write_3d
from tests.helpers.script_tools import assert_one_line, run_here

ACTIONS = ("Directions", "Eating", "Eating 1", "Walking")
CAMERAS = ("54138969", "55011271", "58860488", "60457274")


def put(root, subject, name, metres, folder="D3_Positions"):
    path = root / subject / "MyPoseFeatures" / folder / f"{name}.cdf.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = metres.reshape(len(metres), -1) * 1000
    scipy.io.savemat(path, {"data": cell}, appendmat=False)
    return path


def seen(subject, metres, camera=0):
    return world_to_camera(metres.astype(float), h36m_cameras(subject)[camera])


@pytest.fixture
def bodies():
    """{(subject, action): (T, 32, 3) metres}."""
    made = make_3d(("S1", "S9", "S11"), ACTIONS, frames=8)
    return {(subject, action): world for subject, actions in made.items() for action, world in actions.items()}


@pytest.mark.parametrize("camera", range(4))
def test_views_under_the_names_of_sequences_are_refused(bodies, tmp_path, camera):
    for (subject, action), world in bodies.items():
        put(tmp_path, subject, action, seen(subject, world, camera))
    process = run_here("data/prepare_data_h36m.py", "--from-mat", tmp_path, "--allow-partial", "--out", tmp_path / "out")
    assert_one_line(process, "S1/MyPoseFeatures/D3_Positions/Directions.cdf.mat", "camera coordinates, as in D3_Positions_mono")
    assert_one_line(process, "their z does not run from the feet up", "not on the floor", "100% lie behind", "take D3_Positions")
    assert not (tmp_path / "out").exists()


def test_one_view_among_sequences_is_refused_by_name(bodies, tmp_path):
    for (subject, action), world in bodies.items():
        put(tmp_path, subject, action, seen(subject, world) if (subject, action) == ("S9", "Eating 1") else world)
    with pytest.raises(DuaError, match=r"S9/MyPoseFeatures/D3_Positions/Eating 1\.cdf\.mat: .*D3_Positions_mono"):
        read_mat(tmp_path, allow_partial=True)


@pytest.mark.parametrize("allow_partial", [False, True])
def test_files_that_name_cameras_are_refused(bodies, tmp_path, allow_partial):
    for (subject, action), world in bodies.items():
        for camera, name in enumerate(CAMERAS):
            put(tmp_path, subject, f"{action}.{name}", seen(subject, world, camera))
    with pytest.raises(DuaError) as caught:
        read_mat(tmp_path, allow_partial)
    message = str(caught.value)
    assert "16 of the files S1/MyPoseFeatures/D3_Positions/*.cdf.mat are named by camera" in message
    assert "Directions.54138969.cdf.mat" in message
    assert "D3_Positions_mono" in message
    assert "complete" not in message


def test_the_corrupt_clip_is_known_by_a_name_with_a_camera(bodies, tmp_path):
    for (subject, action), world in bodies.items():
        if (subject, action) != ("S11", "Directions"):
            put(tmp_path, subject, action, world)
    put(tmp_path, "S11", "Directions.54138969", np.full((3, 32, 3), np.nan))
    positions = read_mat(tmp_path, allow_partial=True)
    assert set(positions["S11"]) == {"Eating", "Eating 1", "Walking"}
    np.testing.assert_allclose(positions["S9"]["Walking"], bodies["S9", "Walking"], atol=1e-6)


def test_a_stray_file_is_left_out_only_when_told(bodies, tmp_path):
    for (subject, action), world in bodies.items():
        put(tmp_path, subject, action, world)
    stray = put(tmp_path, "S9", "_ALL", bodies["S9", "Walking"])
    process = run_here("data/prepare_data_h36m.py", "--from-mat", tmp_path, "--allow-partial", "--out", tmp_path / "out")
    assert process.returncode == 0, process.stderr
    assert process.stderr.startswith("warning: ")
    assert str(stray) in process.stderr
    assert "S9 4 of 30" in process.stdout


def test_a_folder_of_views_beside_where_sequences_belong_is_named(bodies, tmp_path):
    put(tmp_path, "S1", "Eating.54138969", seen("S1", bodies["S1", "Eating"]), folder="D3_Positions_mono")
    with pytest.raises(DuaError, match=r"has D3_Positions_mono in .*but no S\*/MyPoseFeatures/D3_Positions/"):
        read_mat(tmp_path, allow_partial=True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda world: world[..., [1, 2, 0]], "their z does not run"),  # x up, right-handed as before
        (lambda world: world * np.array([1, -1, -1]), "their z does not run"),  # z down
        (lambda world: world - world[:, :1] - [0, 0, 0.2], "the feet are at -0.7"),  # from the hip
        (lambda world: world + np.array([4, 0, 0]), "out of the picture"),  # another origin
    ],
    ids=["x up", "z down", "from the hip", "elsewhere"],
)
def test_any_other_world_is_refused(tmp_path, change, word):
    for action in ACTIONS:
        put(tmp_path, "S1", action, change(moving_body(20, 1).astype(float)))
    with pytest.raises(DuaError, match=word) as caught:
        read_mat(tmp_path, allow_partial=True)
    assert "not in Human3.6M's world" in str(caught.value)


def test_somebody_who_lies_on_the_floor_is_in_the_world(bodies, tmp_path):
    lying = bodies["S1", "Eating"][..., [2, 1, 0]] * np.array([1, -1, 1])
    lying = lying - lying[:, :1] + [0, 0, 0.2]
    for (subject, action), world in bodies.items():
        put(tmp_path, subject, action, lying if (subject, action) == ("S1", "Eating") else world)
    np.testing.assert_allclose(read_mat(tmp_path, allow_partial=True)["S1"]["Eating"], lying, atol=1e-6)


def test_a_view_in_a_file_that_was_made_before_is_not_trained_on(tmp_path):
    positions = make_3d(("S1", "S5"), ACTIONS, frames=20)
    write_2d(tmp_path, make_2d(positions))
    positions["S5"]["Eating"] = seen("S5", positions["S5"]["Eating"]).astype(np.float32)
    write_3d(tmp_path, positions)
    with pytest.raises(DuaError, match=r"data_3d_h36m\.npz: S5 Eating: the joints are camera coordinates"):
        load_h36m(tmp_path, "gt", ("S1", "S5"))
