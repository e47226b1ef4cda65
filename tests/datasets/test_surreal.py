"""The loader of prepared SURREAL files and the writer that other builders use."""

import itertools
import json
import os
import resource
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from common.datasets import surreal as surreal_dataset
from common.datasets.poses import Poses, UnlabelledPoses, split_validation
from common.datasets.surreal import load_surreal, load_surreal_2d, motion_of
from common.datasets.surreal_file import SURREAL_CAMERA, path_surreal
from common.errors import DuaError
from common.geometry.camera import image_coordinates, project_to_2d
from common.geometry.skeleton import handedness
from common.preparation.surreal_writer import SurrealWriter, _Disk
from tests.helpers.surreal_files import CLIPS, SIDES, camera_body, write_prepared

SIXTEEN_OF_24 = [0, 2, 5, 8, 1, 4, 7, 9, 12, 15, 16, 18, 20, 17, 19, 21]
COLLARS = [0, 2, 5, 8, 1, 4, 7, 9, 12, 15, 13, 18, 20, 14, 19, 21]
LENGTHS = [len(camera_body(motion)[0]) for motion in CLIPS.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_prepared(tmp_path)
    return tmp_path


def change(path: Path, name: str, values: np.ndarray | list | None) -> None:
    """Replace a data set of a prepared file, or with None delete it."""
    with h5py.File(path, "r+") as file:
        del file[name]
        if values is not None:
            file[name] = values


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("smpl_shoulders", "joints"), [("shoulder", SIXTEEN_OF_24), ("collar", COLLARS)])
def test_poses_are_those_of_the_file(folder: Path, smpl_shoulders: str, joints: list[int]) -> None:
    poses = load_surreal(folder, smpl_shoulders=smpl_shoulders)
    assert (poses.name, len(poses)) == ("surreal", sum(LENGTHS))
    assert (poses.inputs_2d.dtype, poses.targets_3d.dtype) == (torch.float32, torch.float32)
    for sequence, (heading, motion) in zip(poses.sequences, enumerate(CLIPS.values()), strict=True):
        pixels, metres = camera_body(motion, heading)
        rows = slice(sequence.start, sequence.stop)
        read = image_coordinates(poses.inputs_2d[rows].numpy().astype(np.float64), 320, 240)
        np.testing.assert_allclose(read, pixels[:, joints], atol=1e-3)
        np.testing.assert_allclose(poses.targets_3d[rows], (metres - metres[:, :1])[:, joints], atol=1e-5)
    assert handedness(poses.targets_3d.numpy()).mean() > 0.1


def test_sequences_are_clips_with_their_motion_as_action(folder: Path) -> None:
    sequences = load_surreal(folder).sequences
    assert [s.action for s in sequences] == ["01 01", "02 03", "01 01"]
    assert [s.base_action for s in sequences] == ["01", "02", "01"]
    assert {(s.subject, s.camera, s.resolution, s.split) for s in sequences} == {("surreal", "surreal", (320, 240), "")}
    assert [s.stop - s.start for s in sequences] == LENGTHS
    assert [s.start for s in sequences] == [0, *itertools.accumulate(LENGTHS)][:-1]


@pytest.mark.parametrize(("split", "expected"), [("train", ""), ("val", "validation"), ("test", "test")])
def test_files_that_are_no_training_file_fix_the_split(tmp_path: Path, split: str, expected: str) -> None:
    write_prepared(tmp_path, split)
    assert {s.split for s in load_surreal(tmp_path, split).sequences} == {expected}
    assert {s.split for s in load_surreal_2d(tmp_path, split).sequences} == {expected}


@pytest.mark.parametrize(
    ("clip", "motion"),
    [
        ("run0/01_02/01_02_c0003", "01 02"),
        ("run2/ung_143_20/ung_143_20_c0001", "143 20"),
        ("demo/DanceB 1/DanceB_1_c0001", "DanceB 1"),
        ("run0/h36m_S1_Walking/h36m_S1_Walking_c0001", "h36m_S1_Walking"),
        ("alone", "alone"),
    ],
)
def test_motion_of(clip: str, motion: str) -> None:
    assert motion_of(clip) == motion


@pytest.mark.parametrize("block", [5, 7, 2**16])
@pytest.mark.parametrize("downsample", [1, 3, 1000])
def test_downsample_starts_anew_in_each_clip(folder: Path, monkeypatch: pytest.MonkeyPatch, block: int, downsample: int) -> None:
    full = load_surreal(folder)
    monkeypatch.setattr(surreal_dataset, "_BLOCK", block)
    poses = load_surreal(folder, downsample=downsample)
    expected = torch.cat([torch.arange(s.start, s.stop, downsample) for s in full.sequences])
    assert poses.targets_3d.equal(full.targets_3d[expected])
    assert poses.inputs_2d.equal(full.inputs_2d[expected])
    assert [s.stop - s.start for s in poses.sequences] == [len(range(0, n, downsample)) for n in LENGTHS]
    unlabelled = load_surreal_2d(folder, downsample=downsample)
    assert unlabelled.inputs_2d.equal(poses.inputs_2d)
    assert unlabelled.sequences == poses.sequences


def test_actions(folder: Path) -> None:
    full = load_surreal(folder)
    for wanted in ("01", "01 01"):
        poses = load_surreal(folder, actions=wanted)
        assert [s.action for s in poses.sequences] == ["01 01", "01 01"]
        assert poses.targets_3d.equal(full.select(lambda s: s.action == "01 01").targets_3d)
    with pytest.raises(DuaError, match=r"no action '09'.*it has: 01, 02"):
        load_surreal(folder, actions="09")


def test_unlabelled_loader_never_touches_the_3d(folder: Path) -> None:
    expected = load_surreal(folder).unlabelled()
    change(path_surreal(folder, "train"), "joints_3d", None)
    poses = load_surreal_2d(folder)
    assert isinstance(poses, UnlabelledPoses)
    assert not isinstance(poses, Poses)
    assert poses.inputs_2d.equal(expected.inputs_2d)
    assert poses.sequences == expected.sequences
    with pytest.raises(DuaError, match=r"surreal_train\.h5 is damaged"):
        load_surreal(folder)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load", [load_surreal, load_surreal_2d])
def test_missing_file_names_the_command(tmp_path: Path, load) -> None:
    with pytest.raises(DuaError, match=r"surreal_val\.h5 does not exist; make it with: python data/prepare_data_surreal\.py"):
        load(tmp_path, "val")
    with pytest.raises(DuaError, match="no split 'validation'; it has: train, val, test"):
        load(tmp_path, "validation")


@pytest.mark.parametrize("load", [load_surreal, load_surreal_2d])
@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"complete": None}, "not written to its end"),
        ({"complete": False}, "not written to its end"),
        ({"format": "dua surreal 2"}, "format 'dua surreal 2'"),
        ({"format": None}, "format 'None'"),
        ({"skeleton": "h36m"}, "skeleton 'h36m'"),
        ({"width": 640}, "width is 640, 320 was expected"),
        ({"center": [160.0, 0.0]}, "center"),
        ({"focal_length": None}, "focal_length is None"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, load, attributes: dict, words: str) -> None:
    write_prepared(tmp_path, **attributes)
    with pytest.raises(DuaError, match=words) as caught:
        load(tmp_path)
    assert "surreal_train.h5" in str(caught.value)
    assert "prepare it anew" in str(caught.value)


@pytest.mark.parametrize("load", [load_surreal, load_surreal_2d])
def test_damaged_files(folder: Path, load) -> None:
    path = path_surreal(folder, "train")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"<html>moved</html>"):
        path.write_bytes(damaged)
        with pytest.raises(DuaError, match=r"surreal_train\.h5 is damaged.*prepare it anew"):
            load(folder)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("joints_2d", np.zeros((sum(LENGTHS), 17, 2)), "'joints_2d' has shape .*17.*24 joints of SMPL"),
        ("joints_3d", np.zeros((sum(LENGTHS) - 1, 24, 3)), "'joints_3d' has shape"),
        ("joints_3d", np.zeros((sum(LENGTHS), 24, 2)), "'joints_3d' has shape"),
        ("clip_start", [0, 1], "table of clips"),
        ("clip_start", [0, LENGTHS[0] + 1, sum(LENGTHS[:2])], "table of clips"),
        ("clip_stop", [*np.cumsum(LENGTHS)[:2], sum(LENGTHS) + 1], "table of clips"),
        ("clips", None, "damaged"),
    ],
)
def test_contents_that_do_not_fit(folder: Path, name: str, values: np.ndarray | list | None, words: str) -> None:
    change(path_surreal(folder, "train"), name, values)
    with pytest.raises(DuaError, match=words):
        load_surreal(folder)


@pytest.mark.parametrize("name", ["joints_2d", "joints_3d"])
def test_nan_is_reported_with_its_clip(folder: Path, name: str) -> None:
    with h5py.File(path_surreal(folder, "train"), "r+") as file:
        file[name][LENGTHS[0] + 2, 2, 0] = np.nan
    with pytest.raises(DuaError, match=rf"'{name}' of clip run0/02_03/02_03_c0001: 1 joints .* frame 2, joint 1;"):
        load_surreal(folder)
    load_surreal(folder, actions="01")  # it is not read
    if name == "joints_3d":
        load_surreal_2d(folder)


def test_mirrored_bodies_are_refused(folder: Path) -> None:
    path = path_surreal(folder, "train")
    with h5py.File(path, "r+") as file:
        file["joints_3d"][...] = file["joints_3d"][()][:, SIDES]
    with pytest.raises(DuaError, match=r"surreal_train\.h5: the bodies are mirrored .*prepare it anew"):
        load_surreal(folder)


def test_unknown_shoulders(folder: Path) -> None:
    with pytest.raises(DuaError, match="shoulder, collar"):
        load_surreal(folder, smpl_shoulders="both")


# --- the writer -------------------------------------------------------------------------------------------------------


def write(path: Path, clips: dict[str, str] = CLIPS) -> None:
    with SurrealWriter(path, "tests") as writer:
        for heading, (name, motion) in enumerate(clips.items()):
            writer.add(name, *camera_body(motion, heading))
            assert not path.exists()
    assert (writer.clips, writer.frames) == (len(clips), sum(LENGTHS))


def test_writer_makes_what_the_format_says(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    path = path_surreal(tmp_path / "ours", "train")
    write(path)
    assert os.listdir(path.parent) == [path.name]
    with h5py.File(path) as ours, h5py.File(write_prepared(tmp_path / "theirs")) as theirs:
        assert set(ours) == set(theirs)
        for name in theirs:
            np.testing.assert_array_equal(ours[name][()], theirs[name][()])
        assert {name: ours[name].dtype.str for name in ours} == {
            "joints_2d": "<f4", "joints_3d": "<f4", "clip": "<i4", "clips": "|S22", "clip_start": "<i8", "clip_stop": "<i8",
        }  # fmt: skip
        assert set(ours.attrs) == set(theirs.attrs)
        for name, value in theirs.attrs.items():
            np.testing.assert_array_equal(ours.attrs[name], value)
    poses, expected = load_surreal(tmp_path / "ours"), load_surreal(tmp_path / "theirs")
    assert poses.targets_3d.equal(expected.targets_3d)
    assert poses.sequences == expected.sequences


def test_camera_is_surreals() -> None:
    np.testing.assert_allclose(project_to_2d(np.array([[0.7, 0.35, 7.0]]), SURREAL_CAMERA), [[220, 150]])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError("the source")])
def test_interrupted_writer_leaves_the_old_file(tmp_path: Path, error) -> None:
    path = tmp_path / "surreal_train.h5"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with SurrealWriter(path, "tests") as writer:
            writer.add("a/a/a", *camera_body())
            raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("clip", "joints_2d", "joints_3d", "words"),
    [
        ("b", np.zeros((2, 24, 2)), np.zeros((3, 24, 3)), "shapes"),
        ("b", np.zeros((2, 16, 2)), np.zeros((2, 16, 3)), "shapes"),
        ("b", np.zeros((0, 24, 2)), np.zeros((0, 24, 3)), "shapes"),
        ("b", np.full((2, 24, 2), np.nan), np.zeros((2, 24, 3)), "2D of clip b: 48 joints are NaN"),
        ("b", np.zeros((2, 24, 2)), np.full((2, 24, 3), np.inf), "3D of clip b: 48 joints are NaN"),
        ("a", np.zeros((2, 24, 2)), np.zeros((2, 24, 3)), "clip 'a' comes twice"),
        ("", np.zeros((2, 24, 2)), np.zeros((2, 24, 3)), "has no name"),
    ],
)
def test_writer_refuses_what_is_no_clip(tmp_path: Path, clip: str, joints_2d, joints_3d, words: str) -> None:
    def write_both() -> None:
        with SurrealWriter(tmp_path / "surreal_train.h5", "tests") as writer:
            writer.add("a", *camera_body())
            writer.add(clip, joints_2d, joints_3d)

    with pytest.raises(DuaError, match=words):
        write_both()
    assert not os.listdir(tmp_path)


def test_writer_refuses_mirrored_bodies_and_empty_files(tmp_path: Path) -> None:
    joints_2d, joints_3d = camera_body()
    with pytest.raises(DuaError, match="mirrored"), SurrealWriter(tmp_path / "surreal_train.h5", "tests") as writer:
        writer.add("a", joints_2d[:, SIDES], joints_3d[:, SIDES])
    with pytest.raises(DuaError, match="no usable frame"), SurrealWriter(tmp_path / "surreal_train.h5", "tests"):
        pass
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("size", [100, 5_000, 200_000, 400_000, 500_000])
def test_full_disk(tmp_path: Path, size: int) -> None:
    """No stand-in: the system itself refuses all that comes after `size` bytes, at whatever step of HDF5 that is."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(DuaError, match=r"cannot write .*surreal_train\.h5: File too large; free some space"):
            write(tmp_path / "surreal_train.h5")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("calls", range(3, 16, 3))  # opening, the accesses before, is shielded from signals
def test_interrupt_while_hdf5_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    left = iter(range(calls))

    class Interrupted(_Disk):
        def _attempt(self, action, otherwise):
            def interrupted():
                if next(left, None) is None:
                    raise KeyboardInterrupt
                return action()

            return super()._attempt(interrupted, otherwise)

    monkeypatch.setattr("common.preparation.surreal_writer._Disk", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "surreal_train.h5")
    assert not os.listdir(tmp_path)


def test_validation_is_cut_from_training_by_motion(folder: Path) -> None:
    """SURREAL's own val is part of its test, so nothing is chosen on it. The two clips of motion 01 01 stay together."""
    train, validation = split_validation(load_surreal(folder))
    assert {s.action for s in train.sequences} & {s.action for s in validation.sequences} == set()
    assert len(train) + len(validation) == sum(LENGTHS)


def test_a_built_data_set_fixes_its_validation(folder: Path) -> None:
    described = [{"subject": "surreal", "action": a, "split": s} for a, s in (("01 01", "train"), ("02 03", "validation"))]
    (folder / "dataset.json").write_text(json.dumps({"surreal": {"sequences": described}}))
    _, validation = split_validation(load_surreal(folder))
    assert {s.action for s in validation.sequences} == {"02 03"}
