"""What data sets get wrong without being damaged is told from what people do and detectors err; each by its own loader."""

import numpy as np
import pytest
import scipy.io
import torch
from scipy.spatial.transform import Rotation

from common.datasets.anomalies import check_bodies, check_pixels, check_views, pixels_problem
from common.datasets.h36m import load_h36m, load_h36m_2d
from common.datasets.poses import Poses, Sequence
from common.datasets.surreal import load_surreal, load_surreal_2d
from common.errors import DuaError
from common.geometry.skeleton import H36M_32_TO_16, MIRROR
from common.mocap.body import BodyShape, draw_shape, pose_body
from common.mocap.motion import load_deepmimic_clips
from common.preparation.h36m_sources import read_mat
from common.preparation.surreal_sources import Problem
from common.preparation.surreal_tree import read_info
from tests.conftest import ROOT
from tests.helpers import h36m_files, surreal_files
from tests.helpers.script_tools import change_positions

TO_CAMERA = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # a world with z up to x right, y down, z forward


@pytest.fixture(scope="module")
def motions():
    return load_deepmimic_clips(ROOT / "data/demo/motion.h5", 25.0)


def filmed(world, place=(0.3, 0.2, 5.0), focal=2.29, noise=0.0):
    """(T, 16, 3) metres, z up, seen by a level camera in an image of 1000 x 1000; noise in shares of the body's size."""
    points = world @ TO_CAMERA.T
    points = points - points[:, :1] + np.array(place)
    screen = points[..., :2] / points[..., 2:] * focal
    screen += np.random.default_rng(0).normal(0, noise * np.ptp(screen[:, :, 1]), screen.shape)
    targets, roots = points - points[:, :1], points[:, 0]
    sequence = Sequence("S1", "Act", "cam", 0, len(points), (1000, 1000))
    tensors = (torch.from_numpy(values.astype(np.float32)) for values in (screen, targets, roots))
    inputs_2d, targets_3d, roots_3d = tensors
    return Poses("h36m", inputs_2d, targets_3d, (sequence,), roots_3d)


def body_of(motion, shape=None, heading=0.5):
    shape = shape or draw_shape(np.random.default_rng(0), "female")
    return pose_body(motion, shape, heading, (0.0, 0.0))["h36m"][:, list(H36M_32_TO_16)]


def check(poses):
    check_bodies(poses.targets_3d.numpy(), "3d.npz", "get it anew")
    check_pixels(poses, "2d.npz", "get it anew")
    check_views(poses, 2.29, "2d.npz", "3d.npz", "get it anew")


def changed(poses, inputs=None, targets=None):
    return Poses(
        poses.name,
        poses.inputs_2d if inputs is None else inputs,
        poses.targets_3d if targets is None else targets,
        poses.sequences,
        poses.roots_3d,
    )


# --- no false alarms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pitch", [0, 90, 180, 270], ids=["upright", "on the back", "on the hands", "on the face"])
@pytest.mark.parametrize("size", ["child", "giant"])
def test_what_people_do_is_no_anomaly(motions, capsys, pitch, size):
    shape = BodyShape("female", {"child": 0.9, "giant": 2.2}[size], *[1.0] * 8)
    turn = Rotation.from_euler("x", pitch, degrees=True).as_matrix()
    for heading, motion in enumerate(motions.values()):
        world = body_of(motion, shape, heading)
        world = (world - world[:, :1]) @ turn.T
        check(filmed(world, place=(1.0, 0.3, 3.5), noise=0.05))  # at the image's edge, a detector's noise of 5 % of the body
    assert capsys.readouterr().err == ""


def test_people_who_walk_out_of_the_image_and_flips_are_no_anomaly(motions, capsys):
    poses = filmed(body_of(motions["walk"]), place=(1.6, 0.2, 3.7))
    outside = float((poses.inputs_2d[..., 0] > 1).float().mean())
    assert 0.3 < outside < 0.5
    inputs = poses.inputs_2d.clone()
    inputs[::8] = inputs[::8][:, list(MIRROR)]  # a detector takes every eighth back for a front
    check(changed(poses, inputs))
    assert capsys.readouterr().err == ""


def test_the_demo_is_no_anomaly(demo, capsys):
    load_h36m(demo)
    load_surreal(demo, "train")
    load_surreal_2d(demo, "test")
    assert capsys.readouterr().err == ""


# --- anomalies --------------------------------------------------------------------------------------------------------

ERRORS = {
    "mirrored": (lambda p: changed(p, p.inputs_2d * torch.tensor([-1, 1]), p.targets_3d * torch.tensor([-1, 1, 1])), "mirrored"),
    "centimetres": (lambda p: changed(p, targets=p.targets_3d * 100), "m from the hip"),
    "one broken frame": (
        lambda p: changed(p, targets=torch.cat([p.targets_3d[:-1], p.targets_3d[-1:] * 1e20])),
        "m from the hip",
    ),
    "normalised twice": (lambda p: changed(p, p.inputs_2d / 500 - 1), "normalised already"),
    "pixels of a larger image": (lambda p: changed(p, p.inputs_2d * 4 + 3), "outside the image"),
    "pixels of a smaller image": (lambda p: changed(p, (p.inputs_2d + 1) / 2 - 1), "times as large in 2D"),
    "left and right exchanged": (lambda p: changed(p, p.inputs_2d[:, list(MIRROR)]), "left and right are exchanged"),
    "y upwards": (lambda p: changed(p, p.inputs_2d * torch.tensor([1, -1])), "y of the 2D runs against"),
    "mirrored pictures": (lambda p: changed(p, p.inputs_2d * torch.tensor([-1, 1])), "x of the 2D runs against"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_what_cannot_be_is_an_error(motions, kind):
    spoil, words = ERRORS[kind]
    poses = filmed(body_of(motions["walk"]), place=(0.0, 0.0, 5.0))
    check(poses)
    with pytest.raises(DuaError, match=words) as caught:
        check(spoil(poses))
    assert "d.npz" in str(caught.value)
    assert "get it anew" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"), [("sides", "left and right are exchanged in 1 of"), ("frames", "different poses in 1 of")]
)
def test_one_sequence_that_is_wrong_is_a_warning(demo, tmp_path, capsys, kind, words):
    def spoil(positions):
        views = positions["S1"][next(iter(positions["S1"]))]
        order = (0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13) if kind == "sides" else range(17)
        views[1] = views[1][:, list(order)] if kind == "sides" else np.random.default_rng(0).permutation(views[1][..., ::-1])

    folder = change_positions(demo, tmp_path / "data", "data_2d_h36m_gt.npz", spoil)
    load_h36m(folder, subjects=("S1",))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"warning: {folder / 'data_2d_h36m_gt.npz'} and data_3d_h36m.npz: ")
    assert words in said


def test_loaders_name_the_file(demo, tmp_path):
    def all_views(change):
        def spoil(positions):
            for actions in positions.values():
                for views in actions.values():
                    views[:] = [change(view) for view in views]

        return spoil

    folder = change_positions(demo, tmp_path / "a", "data_2d_h36m_gt.npz", all_views(lambda view: view / 500 - 1))
    for load in (load_h36m, load_h36m_2d):
        with pytest.raises(DuaError, match=r"data_2d_h36m_gt\.npz: .*normalised already; get or make"):
            load(folder)

    def mirror(positions):
        for actions in positions.values():
            for action in actions:
                actions[action] = actions[action] * np.array([-1, 1, 1], dtype=np.float32)

    folder = change_positions(demo, tmp_path / "b", "data_3d_h36m.npz", mirror)
    with pytest.raises(DuaError, match=r"data_3d_h36m\.npz: the bodies are mirrored"):
        load_h36m(folder)


def test_keypoints_of_another_size_of_image():
    pose = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 16, 2))
    assert pixels_problem(pose, np.full(5, 0.6)) is None
    assert "outside" in pixels_problem(pose * 3 + 1.5, np.full(5, 0.6))
    assert "normalised" in pixels_problem(pose / 1000 - 1, np.full(5, 0.6))


def test_sources_are_looked_at_before_they_are_prepared(tmp_path):
    world = surreal_files.world_body(frames=3)
    path = surreal_files.write_info(
        tmp_path / "run0/a/a_info.mat", surreal_files.info(world * 1000, surreal_files.camera_place(world) * 1000)
    )
    problem = read_info(tmp_path, 1, path)
    assert isinstance(problem, Problem)
    assert "m apart" in problem.reason
    for spoil, words in ((np.array([-1, 1, 1]), "mirrored"), (np.array([1, 1, 1]), None)):
        body = h36m_files.moving_body(30, 0) * spoil * 1000
        scipy.io.savemat(mat := tree_file(tmp_path), {"data": body.reshape(30, 96)}, appendmat=False)
        if words is None:
            assert read_mat(tmp_path, allow_partial=True)["S1"]["Walking"].shape == (30, 32, 3)
        else:
            with pytest.raises(DuaError, match=words):
                read_mat(mat.parents[3], allow_partial=True)


def tree_file(root):
    path = root / "S1" / "MyPoseFeatures" / "D3_Positions" / "Walking.cdf.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
