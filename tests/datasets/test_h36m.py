"""Human3.6M's loader: the field's files as they are, and every way in which they can be wrong."""

import json
from itertools import accumulate

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS, load_h36m, load_h36m_2d
from common.datasets.poses import UnlabelledPoses, read_splits
from common.errors import DuaError
from common.files.arrays import load_arrays
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import JOINT_NAMES, handedness
from tests.helpers import keypoint_text
from tests.helpers.h36m_files import ACTIONS, METADATA, SUBJECTS, make_2d, make_3d, write_2d, write_3d, write_both

SIXTEEN_OF_32 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]
FRAMES = {action: 6 + i for i, action in enumerate(ACTIONS)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that nothing is wrong with; tests read them and leave them alone."""
    folder = tmp_path_factory.mktemp("h36m")
    write_both(folder)
    return folder


def rows(poses, subject, action, camera):
    (sequence,) = [s for s in poses.sequences if (s.subject, s.action, s.camera) == (subject, action, camera)]
    return slice(sequence.start, sequence.stop)


def clips_of(poses):
    return {(s.subject, s.action) for s in poses.sequences}


def assert_tiled(poses):
    lengths = [s.stop - s.start for s in poses.sequences]
    assert [s.start for s in poses.sequences] == [0, *accumulate(lengths)][:-1]
    assert sum(lengths) == len(poses) == len(poses.inputs_2d)
    assert min(lengths) > 0


# --- what is read -----------------------------------------------------------------------------------------------------


def test_every_clip_is_seen_by_every_camera(folder):
    poses = load_h36m(folder)
    assert_tiled(poses)
    assert len(poses.targets_3d) == len(poses)
    assert clips_of(poses) == {(subject, action) for subject in TRAIN_SUBJECTS for action in ACTIONS}
    for clip in clips_of(poses):
        seen = [s for s in poses.sequences if (s.subject, s.action) == clip]
        assert [s.camera for s in seen] == ["54138969", "55011271", "58860488", "60457274"]
        assert {s.stop - s.start for s in seen} == {FRAMES[clip[1]]}
        assert [s.resolution for s in seen] == [(1000, 1002), (1000, 1000), (1000, 1000), (1000, 1002)]
    assert {s.split for s in poses.sequences} == {""}


def test_subjects_of_the_protocol():
    assert (TRAIN_SUBJECTS, TEST_SUBJECTS) == (("S1", "S5", "S6", "S7", "S8"), ("S9", "S11"))


@pytest.mark.parametrize("metadata", [METADATA, None], ids=["metadata", "no metadata"])
@pytest.mark.parametrize("joints", [16, 17, 32])
def test_any_number_of_joints_gives_the_same_poses(folder, tmp_path, joints, metadata):
    write_both(tmp_path, joints=joints, metadata=metadata)
    expected, poses = load_h36m(folder), load_h36m(tmp_path)
    assert poses.inputs_2d.equal(expected.inputs_2d)
    assert poses.targets_3d.equal(expected.targets_3d)
    assert poses.sequences == expected.sequences


MPII = ["RFoot", "RKnee", "RHip", "LHip", "LKnee", "LFoot", "Hip", "Spine", "Thorax", "Head",
        "RWrist", "RElbow", "RShoulder", "LShoulder", "LElbow", "LWrist"]  # fmt: skip
LEFT_OF_MPII, LEFT_OF_OURS = [3, 4, 5, 13, 14, 15], [4, 5, 6, 10, 11, 12]


def sixteen(left):
    return {"layout_name": "mpii", "num_joints": 16, "keypoints_symmetry": [left, [j for j in range(16) if j not in left]]}


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_sixteen_joints_in_the_order_of_the_hourglass(folder, tmp_path, load):
    """VideoPose3D's sh_* files: MPII's order, which their metadata alone gives away."""
    positions_3d = make_3d()
    write_3d(tmp_path, positions_3d)
    order = [JOINT_NAMES.index(name) for name in MPII]
    ours = make_2d(positions_3d, joints=16)
    mpii = {s: {a: [view[:, order] for view in views] for a, views in actions.items()} for s, actions in ours.items()}
    write_2d(tmp_path, mpii, metadata=sixteen(LEFT_OF_MPII))
    assert load(tmp_path).inputs_2d.equal(load_h36m(folder).inputs_2d)
    write_2d(tmp_path, ours, metadata=sixteen(LEFT_OF_OURS))
    assert load(tmp_path).inputs_2d.equal(load_h36m(folder).inputs_2d)


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize(
    "metadata",
    [sixteen([1, 2, 3, 13, 14, 15]), {"num_joints": 16}, {"num_joints": 16, "keypoints_symmetry": None}, sixteen(["x"])],
    ids=["other order", "no symmetry", "none", "words"],
)
def test_sixteen_joints_in_an_unknown_order(tmp_path, load, metadata):
    write_both(tmp_path, joints=16, metadata=metadata, subjects=("S1",))
    with pytest.raises(DuaError, match=r"data_2d_h36m_gt\.npz.*metadata"):
        load(tmp_path, subjects=("S1",))


COCO = {"layout_name": "coco", "num_joints": 17, "keypoints_symmetry": [list(range(1, 17, 2)), list(range(2, 17, 2))]}
"""VideoPose3D's description of data_2d_h36m_detectron_pt_coco.npz."""


def write_coco(folder, change=lambda pixels: None):
    """2D of the rule in COCO's order, and `data_2d_h36m_rule.npz` with the same in ours."""
    positions_3d = make_3d()
    write_3d(folder, positions_3d)
    ours, coco = make_2d(positions_3d, joints=16), {}
    for subject, actions in ours.items():
        coco[subject] = {}
        for action, views in actions.items():
            ours[subject][action] = [keypoint_text.by_rule(view.astype(float)) for view in views]
            coco[subject][action] = [keypoint_text.in_order(view, "coco").astype("float32") for view in ours[subject][action]]
    change(coco["S1"]["Walking"][2])
    write_2d(folder, coco, metadata=COCO)
    write_2d(folder, ours, "rule", metadata=None)


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_coco_order_is_read_through_its_metadata(tmp_path, load):
    write_coco(tmp_path)
    expected = load(tmp_path, "rule")
    poses = load(tmp_path)
    assert poses.sequences == expected.sequences
    np.testing.assert_allclose(poses.inputs_2d.numpy(), expected.inputs_2d.numpy(), atol=1e-6)


def test_a_joint_of_coco_that_is_nan_is_named_by_its_place_in_the_file(tmp_path):
    def lose(pixels):
        pixels[4, 14] = np.nan  # right knee

    write_coco(tmp_path, lose)
    with pytest.raises(DuaError, match=r"S1 Walking camera 58860488: 1 joints are NaN.*frame 4, joint 14"):
        load_h36m(tmp_path, subjects=("S1",))


def test_coco_order_without_metadata_is_named_as_what_it_may_be(tmp_path):
    write_coco(tmp_path)
    arrays = load_arrays(tmp_path / "data_2d_h36m_gt.npz")
    write_2d(tmp_path, arrays["positions_2d"], metadata=None)
    with pytest.raises(DuaError, match=r"no 'metadata'.*Human3\.6M's order: if they are in COCO's"):
        load_h36m(tmp_path)


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize("layout", ["halpe", "h36m"])
def test_seventeen_joints_in_an_unknown_order(tmp_path, load, layout):
    """Left joints 0 to 5 are those of no order of seventeen joints."""
    metadata = {"layout_name": layout, "num_joints": 17, "keypoints_symmetry": [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]}
    write_both(tmp_path, metadata=metadata, subjects=("S1",))
    with pytest.raises(DuaError, match=r"data_2d_h36m_gt\.npz.*metadata.*order of 17 joints that is not known"):
        load(tmp_path, subjects=("S1",))


def test_targets_are_the_world_seen_by_the_camera(folder):
    positions_3d = make_3d()
    poses = load_h36m(folder, subjects=SUBJECTS)
    for subject in SUBJECTS:
        for action in ACTIONS:
            if (subject, action) == ("S11", "Directions"):
                continue
            for camera in h36m_cameras(subject):
                w, x, y, z = camera.orientation
                to_world = Rotation.from_quat([x, y, z, w])
                world = positions_3d[subject][action].astype(np.float64)[:, SIXTEEN_OF_32]
                seen = to_world.inv().apply((world - camera.translation).reshape(-1, 3)).reshape(-1, 16, 3)
                expected = seen - seen[:, :1]
                got = poses.targets_3d[rows(poses, subject, action, camera.name)].numpy()
                np.testing.assert_allclose(got, expected, atol=1e-6)


def test_hip_is_the_origin_and_bodies_are_metres(folder):
    poses = load_h36m(folder)
    assert poses.targets_3d.dtype == poses.inputs_2d.dtype
    assert str(poses.targets_3d.dtype) == "torch.float32"
    assert (poses.targets_3d[:, 0] == 0).all()
    # hip to head: a crouching body
    assert 0.5 < poses.targets_3d[:, 9].norm(dim=-1).mean() < 0.9
    # y points down in a camera
    assert (poses.targets_3d[:, 9, 1] < 0).all()


def test_bodies_are_not_mirrored(folder):
    poses = load_h36m(folder, subjects=SUBJECTS)
    assert (handedness(poses.targets_3d.numpy()) > 0.2).all()


def test_inputs_are_normalised_pixels(folder):
    positions_2d = make_2d(make_3d(), joints=16)
    poses = load_h36m(folder, subjects=("S9", "S1"))
    for subject in ("S9", "S1"):
        for action in ACTIONS:
            for camera, pixels in zip(h36m_cameras(subject), positions_2d[subject][action], strict=True):
                width, height = camera.resolution
                got = poses.inputs_2d[rows(poses, subject, action, camera.name)].numpy()
                np.testing.assert_allclose(got[..., 0], (pixels[..., 0] - width / 2) / (width / 2), atol=1e-6)
                np.testing.assert_allclose(got[..., 1], (pixels[..., 1] - height / 2) / (width / 2), atol=1e-6)
    assert poses.inputs_2d.abs().max() < 1  # bodies near the origin are inside every image


def test_inputs_and_targets_are_of_the_same_frame(folder):
    """The 3D, put back in front of the camera, falls on the 2D."""
    positions_3d = make_3d()
    poses = load_h36m(folder, subjects=("S5",), actions="Walking")
    for camera in h36m_cameras("S5"):
        where = rows(poses, "S5", "Walking", camera.name)
        w, x, y, z = camera.orientation
        hip = Rotation.from_quat([x, y, z, w]).inv().apply(positions_3d["S5"]["Walking"][:, 0] - np.array(camera.translation))
        seen = poses.targets_3d[where].numpy() + hip[:, None]
        pinhole = seen[..., :2] / seen[..., 2:] * camera.focal_length + camera.center
        screen = (pinhole - np.array(camera.resolution) / 2) / (camera.resolution[0] / 2)
        np.testing.assert_allclose(poses.inputs_2d[where].numpy(), screen, atol=0.02)  # the lens distorts by less


def test_order_of_subjects_is_the_callers(folder):
    poses = load_h36m(folder, subjects=("S8", "S1"))
    assert [s.subject for s in poses.sequences] == ["S8"] * 16 + ["S1"] * 16


def test_corrupt_clip_is_left_out(folder):
    for poses in (load_h36m(folder, subjects=("S11", "S9")), load_h36m_2d(folder, subjects=("S11", "S9"))):
        assert clips_of(poses) == {(s, a) for s in ("S9", "S11") for a in ACTIONS} - {("S11", "Directions")}
        assert_tiled(poses)


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_nothing_left_but_the_corrupt_clip(folder, load):
    with pytest.raises(DuaError, match="Directions"):
        load(folder, subjects=("S11",), actions="Directions")


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("Walking", {"Walking", "Walking 1"}),
        ("Walking 1", {"Walking 1"}),
        ("WalkingDog, Directions", {"WalkingDog", "Directions"}),
    ],
)
def test_actions(folder, load, wanted, chosen):
    poses = load(folder, subjects=("S1", "S7"), actions=wanted)
    assert clips_of(poses) == {(subject, action) for subject in ("S1", "S7") for action in chosen}
    assert_tiled(poses)


def test_action_that_only_one_subject_has(tmp_path):
    positions_3d = make_3d(subjects=("S1", "S5"))
    del positions_3d["S5"]["WalkingDog"]
    write_3d(tmp_path, positions_3d)
    write_2d(tmp_path, make_2d(positions_3d))
    assert clips_of(load_h36m(tmp_path, subjects=("S1", "S5"), actions="WalkingDog")) == {("S1", "WalkingDog")}


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize("step", [2, 3, 100])
def test_downsample_keeps_every_nth_frame(folder, load, step):
    every, some = load(folder), load(folder, downsample=step)
    assert_tiled(some)
    for sequence in some.sequences:
        place = rows(every, sequence.subject, sequence.action, sequence.camera)
        assert some.inputs_2d[sequence.start : sequence.stop].equal(every.inputs_2d[place][::step])
        if load is load_h36m:
            assert some.targets_3d[sequence.start : sequence.stop].equal(every.targets_3d[place][::step])


def test_other_keypoints(folder, tmp_path):
    positions_3d = write_both(tmp_path, subjects=("S1",))
    shifted = {s: {a: [view + 10 for view in views] for a, views in x.items()} for s, x in make_2d(positions_3d).items()}
    write_2d(tmp_path, shifted, keypoints="cpn_ft_h36m_dbb")
    gt, cpn = (load_h36m(tmp_path, keypoints, ("S1",)) for keypoints in ("gt", "cpn_ft_h36m_dbb"))
    np.testing.assert_allclose((cpn.inputs_2d - gt.inputs_2d).numpy(), 0.02, atol=1e-5)
    assert cpn.targets_3d.equal(gt.targets_3d)


def test_2d_longer_than_3d_is_trimmed(folder, tmp_path):
    write_both(tmp_path, extra_frames=3)
    expected, poses = load_h36m(folder), load_h36m(tmp_path)
    assert poses.inputs_2d.equal(expected.inputs_2d)
    assert poses.sequences == expected.sequences


def test_2d_longer_than_3d_is_trimmed_before_downsampling(folder, tmp_path):
    write_both(tmp_path, extra_frames=3)
    assert load_h36m(tmp_path, downsample=2).inputs_2d.equal(load_h36m(folder, downsample=2).inputs_2d)


def test_2d_with_confidences(folder, tmp_path):
    positions_3d = make_3d()
    write_3d(tmp_path, positions_3d)
    scored = {
        s: {a: [np.concatenate([v, np.ones((*v.shape[:2], 1))], axis=-1) for v in views] for a, views in actions.items()}
        for s, actions in make_2d(positions_3d).items()
    }
    write_2d(tmp_path, scored)
    assert load_h36m(tmp_path).inputs_2d.equal(load_h36m(folder).inputs_2d)


def test_views_in_one_array(folder, tmp_path):
    positions_3d = make_3d()
    write_3d(tmp_path, positions_3d)
    stacked = {s: {a: np.stack(views) for a, views in actions.items()} for s, actions in make_2d(positions_3d).items()}
    write_2d(tmp_path, stacked)
    assert load_h36m(tmp_path).inputs_2d.equal(load_h36m(folder).inputs_2d)


def test_2d_alone_needs_no_3d_file(folder, tmp_path):
    write_2d(tmp_path, make_2d(make_3d()))
    assert not (tmp_path / "data_3d_h36m.npz").exists()
    unlabelled, labelled = load_h36m_2d(tmp_path), load_h36m(folder)
    assert isinstance(unlabelled, UnlabelledPoses)
    assert unlabelled.inputs_2d.equal(labelled.inputs_2d)
    assert unlabelled.sequences == labelled.sequences
    assert not hasattr(unlabelled, "targets_3d")


def test_2d_alone_does_not_open_the_3d_file(tmp_path):
    write_2d(tmp_path, make_2d(make_3d(subjects=("S1",))))
    (tmp_path / "data_3d_h36m.npz").write_bytes(b"damaged")
    assert len(load_h36m_2d(tmp_path, subjects=("S1",)))


# --- what is wrong with the files -------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """(folder, positions_3d, positions_2d) of two subjects, for tests to break and write."""
    positions_3d = make_3d(subjects=("S1", "S9"), actions=("Walking", "Sitting"))
    positions_2d = make_2d(positions_3d)
    return tmp_path, positions_3d, positions_2d


def refusal(files, load=load_h36m, subjects=("S1", "S9"), **arguments) -> str:
    folder, positions_3d, positions_2d = files
    write_3d(folder, positions_3d)
    write_2d(folder, positions_2d)
    with pytest.raises(DuaError) as caught:
        load(folder, subjects=subjects, **arguments)
    return str(caught.value)


def test_untouched_files_load(files):
    folder, positions_3d, positions_2d = files
    write_3d(folder, positions_3d)
    write_2d(folder, positions_2d)
    assert len(load_h36m(folder, subjects=("S1", "S9"))) == 2 * 4 * (6 + 7)


def test_2d_shorter_than_3d_names_both(files):
    views = files[2]["S9"]["Sitting"]
    views[2] = views[2][:-2]
    message = refusal(files)
    for word in ("data_2d_h36m_gt.npz", "data_3d_h36m.npz", "S9", "Sitting", "58860488", " 5 ", " 7"):
        assert word in message


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize("count", [0, 3, 5])
def test_wrong_number_of_cameras(files, load, count):
    views = files[2]["S1"]["Walking"]
    files[2]["S1"]["Walking"] = (views * 2)[:count]
    message = refusal(files, load)
    for word in ("data_2d_h36m_gt.npz", "S1 Walking", f"{count} cameras", "4"):
        assert word in message


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize(
    "views", [None, {"a": 1}, "four", 4, np.array(4.0), np.array({"a": 1}, dtype=object)], ids=lambda views: type(views).__name__
)
def test_views_that_are_no_list(files, load, views):
    files[2]["S1"]["Walking"] = views
    assert "S1 Walking" in refusal(files, load)


def test_clip_without_2d(files):
    del files[2]["S9"]["Sitting"]
    message = refusal(files)
    assert "data_2d_h36m_gt.npz" in message
    assert "S9 Sitting" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_number_that_is_none_in_3d(files, value):
    files[1]["S9"]["Sitting"][3, 25, 1] = value
    files[1]["S9"]["Sitting"][5, 0, :] = value
    message = refusal(files)
    for word in ("data_3d_h36m.npz", "S9 Sitting", "2 joints", "frame 3, joint 25"):
        assert word in message


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_number_that_is_none_in_2d(files, load):
    files[2]["S1"]["Walking"][1][4, 3, 0] = np.nan
    message = refusal(files, load)
    for word in ("data_2d_h36m_gt.npz", "S1 Walking", "55011271", "1 joints", "frame 4, joint 3"):
        assert word in message


def test_2d_joint_is_counted_as_in_the_file(files):
    files[2]["S1"]["Walking"][1][4, 12, 0] = np.nan  # of seventeen; the eleventh of ours
    assert "frame 4, joint 12" in refusal(files)


def test_2d_after_the_end_of_the_3d_may_be_none(files):
    folder, positions_3d, positions_2d = files
    for views in (views for actions in positions_2d.values() for views in actions.values()):
        views[:] = [np.concatenate([view, np.full_like(view[:2], np.nan)]) for view in views]
    write_3d(folder, positions_3d)
    write_2d(folder, positions_2d)
    assert load_h36m(folder, subjects=("S1", "S9")).inputs_2d.isfinite().all()


@pytest.mark.parametrize("shape", [(6, 17, 3), (6, 16, 3), (6, 32, 2), (6, 96), (32, 3), (0, 32, 3), (6, 33, 3), ()], ids=str)
def test_wrong_shape_of_3d(files, shape):
    files[1]["S1"]["Walking"] = np.zeros(shape, dtype=np.float32)
    message = refusal(files)
    for word in ("data_3d_h36m.npz", "S1 Walking", str(shape), "(T, 32, 3)"):
        assert word in message


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize("shape", [(6, 15, 2), (6, 18, 2), (6, 24, 2), (6, 17, 1), (6, 17), (0, 17, 2), ()], ids=str)
def test_wrong_shape_of_2d(files, load, shape):
    files[2]["S1"]["Walking"][3] = np.zeros(shape, dtype=np.float32)
    message = refusal(files, load)
    for word in ("data_2d_h36m_gt.npz", "S1 Walking", "60457274", str(shape), "16, 17 or 32"):
        assert word in message


NO_NUMBERS = [
    None,
    "text",
    {"positions": 1},
    np.array([[["a", "b"]]]),
    np.full((6, 17, 2), None, dtype=object),
    [[[1.0, 2.0]], [[1.0]]],
    [np.zeros((2, 17, 2)), np.zeros((3, 17, 2))],
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_clip_that_is_no_array(files, value):
    clip_2d = files[2]["S1"]["Walking"]
    clip_2d[0], kept = value, clip_2d[0]
    assert "S1 Walking" in refusal(files, load_h36m_2d)
    clip_2d[0] = kept
    files[1]["S1"]["Walking"] = value
    assert "S1 Walking" in refusal(files)


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_unknown_subject_lists_the_known(files, load):
    message = refusal(files, load, subjects=("S1", "S2"))
    assert "'S2'" in message
    assert "S1, S9" in message


def test_subject_that_only_one_file_has(files):
    del files[2]["S9"]
    message = refusal(files)
    assert "'S9'" in message
    assert "data_2d_h36m_gt.npz" in message


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_subject_without_calibration(files, load):
    files[1]["S2"], files[2]["S2"] = files[1]["S1"], files[2]["S1"]
    message = refusal(files, load, subjects=("S2",))
    assert "'S2'" in message
    assert "S1, S5, S6, S7, S8, S9, S11" in message


def test_subjects_that_are_numbers(files):
    """3d-pose-baseline's users number their subjects."""
    folder, positions_3d, positions_2d = files
    numbered = (folder, {1: positions_3d["S1"], 9: positions_3d["S9"]}, {1: positions_2d["S1"], 9: positions_2d["S9"]})
    assert "1, 9" in refusal(numbered)


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
@pytest.mark.parametrize("wanted", ["Running", "Walk", "Sitting,Running", "Walking 2"])
def test_unknown_action_lists_the_known(files, load, wanted):
    message = refusal(files, load, actions=wanted)
    assert f"'{wanted.split(',')[-1]}'" in message
    assert "Sitting, Walking" in message


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_subject_without_clips(files, load):
    for positions in files[1:]:
        positions["S1"].clear()
    assert "S1" in refusal(files, load, subjects=("S1",))


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_no_subject(files, load):
    refusal(files, load, subjects=())


@pytest.mark.parametrize("content", [np.zeros(3), [1, 2], "text", {"S1": [1]}, {"S1": None}], ids=str)
def test_file_of_another_form(files, content):
    folder, positions_3d, positions_2d = files
    assert "no 'positions_2d' of the form" in refusal((folder, positions_3d, content), load_h36m_2d)
    assert "no 'positions_3d' of the form" in refusal((folder, content, positions_2d))


def test_file_with_other_entries_lists_them(files):
    folder, positions_3d, _ = files
    write_3d(folder, positions_3d)
    np.savez(folder / "data_2d_h36m_gt.npz", poses=np.zeros(3), cameras=np.zeros(2))
    with pytest.raises(DuaError, match="it holds: poses, cameras"):
        load_h36m(folder)


def test_file_that_runs_code_is_refused(files, tmp_path):
    class Touch:
        def __reduce__(self):
            return open, (str(tmp_path / "marker"), "w")

    files[2]["S1"]["Walking"][1] = Touch()
    message = refusal(files)
    assert "data_2d_h36m_gt.npz" in message
    assert "open" in message
    assert not (tmp_path / "marker").exists()


# --- what is missing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_missing_data_says_which_command_makes_it(tmp_path, load):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DuaError, match=r"python data/prepare_data_h36m\.py") as caught:
            load(folder)
        assert str(folder / "data_2d_h36m_gt.npz") in str(caught.value)


def test_missing_3d_says_which_command_makes_it(tmp_path):
    write_2d(tmp_path, make_2d(make_3d(subjects=("S1",))))
    with pytest.raises(DuaError, match=r"data_3d_h36m\.npz does not exist.*python data/prepare_data_h36m\.py"):
        load_h36m(tmp_path)


@pytest.mark.parametrize("load", [load_h36m, load_h36m_2d])
def test_missing_keypoints_lists_the_available(files, load):
    write_2d(files[0], files[2], keypoints="sh_ft_h36m")
    message = refusal(files, load, keypoints="cpn_ft_h36m_dbb")
    assert "data_2d_h36m_cpn_ft_h36m_dbb.npz does not exist" in message
    assert "gt, sh_ft_h36m" in message


# --- dataset.json -----------------------------------------------------------------------------------------------------


def write_splits(folder, entries):
    (folder / "dataset.json").write_text(json.dumps({"h36m": {"sequences": entries}}))


def test_splits_of_a_built_data_set(files):
    folder, positions_3d, positions_2d = files
    write_3d(folder, positions_3d)
    write_2d(folder, positions_2d)
    write_splits(
        folder,
        [
            {"subject": "S1", "action": "Walking", "split": "train", "clip": "x"},
            {"subject": "S1", "action": "Sitting", "split": "validation"},
        ],
    )
    for load in (load_h36m, load_h36m_2d):
        poses = load(folder, subjects=("S1", "S9"))
        splits = {(s.subject, s.action): s.split for s in poses.sequences}
        assert splits == {
            ("S1", "Walking"): "train",
            ("S1", "Sitting"): "validation",
            ("S9", "Walking"): "",
            ("S9", "Sitting"): "",
        }


def test_no_splits(tmp_path):
    assert read_splits(tmp_path, "h36m") == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "null", '{"h36m": null}', '{"h36m": {"sequences": [{"subject": "S1"}]}}', '{"h36m": {"sequences": 3}}',
     '{"h36m": {"sequences": [{"subject": ["S1"], "action": "a", "split": "train"}]}}', '{"h36m": "\xff'],
)  # fmt: skip
def test_damaged_splits(tmp_path, text):
    (tmp_path / "dataset.json").write_bytes(text.encode("latin1"))
    with pytest.raises(DuaError, match=r"dataset\.json is damaged"):
        read_splits(tmp_path, "h36m")


def test_millimetres_are_not_taken_for_metres(tmp_path):
    positions = write_both(tmp_path)
    write_3d(
        tmp_path, {subject: {action: world * 1000 for action, world in actions.items()} for subject, actions in positions.items()}
    )
    with pytest.raises(DuaError, match=r"data_3d_h36m.npz: S1 Directions: hip and head are \d+ m apart"):
        load_h36m(tmp_path)


def test_videopose3ds_hourglass_files_keep_mpiis_order(folder, tmp_path):
    """The same points, in MPII's order and described so, give the same inputs; another order is refused by its joints."""
    mpii = ["RFoot", "RKnee", "RHip", "LHip", "LKnee", "LFoot", "Hip", "Spine", "Thorax", "Head",
            "RWrist", "RElbow", "RShoulder", "LShoulder", "LElbow", "LWrist"]  # fmt: skip
    positions_3d = write_both(tmp_path)
    ours = make_2d(positions_3d, joints=16)
    order = [JOINT_NAMES.index(name) for name in mpii]
    theirs = {s: {a: [view[:, order] for view in views] for a, views in actions.items()} for s, actions in ours.items()}
    symmetry = [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]]
    write_2d(tmp_path, theirs, "sh_ft_h36m", {"layout_name": "mpii", "num_joints": 16, "keypoints_symmetry": symmetry})
    assert load_h36m(tmp_path, "sh_ft_h36m").inputs_2d.equal(load_h36m(folder).inputs_2d)
    write_2d(tmp_path, theirs, "odd", {"layout_name": "odd", "num_joints": 16, "keypoints_symmetry": [[1, 2, 3], [4, 5, 6]]})
    with pytest.raises(DuaError, match=r"odd.npz.*\[1, 2, 3\]"):
        load_h36m(tmp_path, "odd")
