"""data/prepare_data_h36m.py and common/preparation/h36m_sources.py, on small made-up sources in the three forms that Human3.6M has."""

import errno
import importlib.util
import io
import runpy
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from cdflib.cdfwrite import CDF

from common.datasets.h36m import load_h36m
from common.errors import DuaError
from common.files.arrays import load_arrays
from common.geometry.camera import image_coordinates, project_to_2d, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.preparation import h5_archive, h36m_sources

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = REPOSITORY / "data" / "prepare_data_h36m.py"
SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
ACTIONS = tuple(
    f"{action}{take}"
    for action in (
        "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases", "Sitting",
        "SittingDown", "Smoking", "Waiting", "WalkDog", "WalkTogether", "Walking",
    )
    for take in ("", " 1")
)  # fmt: skip
# Which of the 32 recorded joints become the 17 and the 16, written out so that no table of the project is taken at its word.
TO_17 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
TO_16 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27]
HOURGLASS_TO_16 = [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]

Clips = dict[tuple[str, str], np.ndarray]


@dataclass
class Outcome:
    code: int
    stdout: str
    stderr: str


# ---------------------------------------------------------------------------------------------------- made-up sources


def person(seed: int, frames: int = 3) -> np.ndarray:
    """(frames, 32, 3) float32 world millimetres: joints within a metre of a hip 0.9 m above the ground, head 0.65 m above it."""
    rng = np.random.default_rng(seed)
    joints = rng.uniform(-400, 400, (frames, 32, 3)) + np.array([0, 0, 900])
    joints[:, 0] = [0, 0, 900]
    joints[:, 15] = joints[:, 0] + np.array([30, 20, 650])
    return (joints + rng.uniform(-200, 200, (frames, 1, 3))).astype(np.float32)


def some_clips(subjects: Iterable[str] = SUBJECTS, actions: Iterable[str] = ("Photo", "WalkDog 1", "Walking")) -> Clips:
    keys = [(subject, action) for subject in subjects for action in actions]
    return {key: person(seed, frames=2 + seed % 3) for seed, key in enumerate(keys)}


def h5_bytes(dataset: str, values: np.ndarray) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5[dataset] = values
    return file.getvalue()


def positions_h5(clip: np.ndarray) -> bytes:
    """(T, 32, 3) to 3d-pose-baseline's (96, T), as float64."""
    return h5_bytes("3D_positions", clip.transpose(1, 2, 0).reshape(96, -1).astype(np.float64))


def position_member(subject: str, action: str) -> str:
    return f"h36m/{subject}/MyPoses/3D_positions/{action}.h5"


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def archive_members(clips: Clips) -> dict[str, bytes]:
    return {position_member(*key): positions_h5(clip) for key, clip in clips.items()}


def write_mat(path: Path, clip: np.ndarray, variable: str = "data") -> Path:
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = clip.reshape(len(clip), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {variable: cell}, do_compression=True, appendmat=False)
    return path


def write_cdf(path: Path, clip: np.ndarray, variable: str = "Pose") -> Path:
    values = clip.reshape(1, len(clip), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = CDF(path)
    file.write_var(
        {
            "Variable": variable,
            "Data_Type": CDF.CDF_REAL4,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": list(values.shape[1:]),
        },
        var_data=values,
    )
    file.close()
    return path


def tree_file(root: Path, subject: str, action: str, suffix: str) -> Path:
    """Where Human3.6M keeps a clip. S1's files bear other names than those of the other subjects."""
    if subject == "S1":
        action = action.replace("Photo", "TakingPhoto").replace("WalkDog", "WalkingDog")
    return root / subject / "MyPoseFeatures" / "D3_Positions" / f"{action}{suffix}"


def write_tree(root: Path, clips: Clips, suffix: str) -> Path:
    write = {".cdf.mat": write_mat, ".cdf": write_cdf}[suffix]
    for key, clip in clips.items():
        write(tree_file(root, *key, suffix), clip)
    return root


def detections(seed: int, frames: int) -> np.ndarray:
    """(frames, 16, 2) pixels in MPII's order."""
    return np.random.default_rng(seed).uniform(0, 1000, (frames, 16, 2))


def detection_members(clips: Clips, folder: str, prefix: str = "h36m/") -> dict[str, bytes]:
    """Longer than the 3D by one frame, as real detections are; cameras in an order that is not the project's."""
    return {
        f"{prefix}{subject}/{folder}/{action.replace(' ', '_')}.{camera}.h5": h5_bytes(
            "poses", detections(int(camera) + seed, len(clip) + 1)
        )
        for seed, ((subject, action), clip) in enumerate(clips.items())
        for camera in reversed(CAMERAS)
    }


# ------------------------------------------------------------------------------------------------------------ running


def run_process(*arguments: str | Path) -> Outcome:
    """The script as a user runs it."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def prepare(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The script run in this process, which spares the start of a process per test."""

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        return Outcome(code, *capsys.readouterr())

    return run


def assert_refused(outcome: Outcome, out: Path, *words: str | Path) -> None:
    """Exit code 2, one line that holds `words`, and nothing left in `out`, hidden files included."""
    assert outcome.code == 2
    assert outcome.stderr.startswith("error: ")
    assert len(outcome.stderr.splitlines()) == 1, outcome.stderr
    for word in words:
        assert str(word) in outcome.stderr
    assert not out.exists() or not list(out.iterdir())


def positions_in(out: Path) -> dict[str, dict[str, np.ndarray]]:
    return load_arrays(out / "data_3d_h36m.npz")["positions_3d"]


def assert_holds(out: Path, clips: Clips) -> None:
    """The 3D file holds exactly `clips`, in metres and to the last bit."""
    positions = positions_in(out)
    assert {(subject, action) for subject, actions in positions.items() for action in actions} == set(clips)
    for (subject, action), clip in clips.items():
        written = positions[subject][action]
        assert written.dtype == np.float32
        np.testing.assert_array_equal(written, (clip.astype(np.float64) / 1000).astype(np.float32))


# ---------------------------------------------------------------------------------------------------------- good input


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clips, Outcome]:
    """A complete archive, run as a user does: the folder of outputs, what they should hold, and what was printed."""
    folder = tmp_path_factory.mktemp("complete")
    clips = {(s, a): person(seed) for seed, (s, a) in enumerate((s, a) for s in SUBJECTS for a in ACTIONS)}
    members = archive_members(clips)
    members[position_member("S11", "Directions")] = b"corrupt, and to be left alone"
    members["__MACOSX/" + position_member("S1", "._Directions")] = b"attributes that macOS adds"
    members["h36m/S1/MyPoses/2D_positions/Directions.54138969.h5"] = b"not wanted"
    members["h36m/S2/MyPoses/3D_positions/Directions.h5"] = b"a subject without published 3D"
    archive = write_zip(folder / "h36m.zip", members)
    del clips["S11", "Directions"]
    return folder / "out", clips, run_process("--from-archive", archive, "--out", folder / "out")


def test_complete_archive(complete: tuple[Path, Clips, Outcome]) -> None:
    out, clips, outcome = complete
    assert (outcome.code, outcome.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["data_2d_h36m_gt.npz", "data_3d_h36m.npz"]
    assert_holds(out, clips)
    assert len(clips) == 209
    for name in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz"):
        assert f"wrote {out / name}: " in outcome.stdout
    assert "7 subjects, 209 sequences" in outcome.stdout
    assert "partial" not in outcome.stdout


def test_ground_truth_2d_is_the_projection_into_each_camera(complete: tuple[Path, Clips, Outcome]) -> None:
    out, clips, _ = complete
    arrays = load_arrays(out / "data_2d_h36m_gt.npz")
    assert arrays["metadata"]["num_joints"] == 17
    for (subject, action), clip in clips.items():
        views = arrays["positions_2d"][subject][action]
        assert len(views) == 4
        for camera, pixels in zip(h36m_cameras(subject), views, strict=True):
            joints = world_to_camera(clip[:, TO_17].astype(np.float64) / 1000, camera)
            np.testing.assert_allclose(pixels, project_to_2d(joints, camera), atol=1e-3)
            # Without the lens, by similar triangles: a wrong camera, joint or axis is off by hundreds of pixels.
            pinhole = joints[..., :2] / joints[..., 2:] * camera.focal_length + np.array(camera.center)
            assert np.abs(pixels - pinhole).max() < 20


def test_load_h36m_reads_what_was_made(complete: tuple[Path, Clips, Outcome]) -> None:
    out, clips, _ = complete
    for subjects, count in ((("S1", "S5", "S6", "S7", "S8"), 150), (("S9", "S11"), 59)):
        poses = load_h36m(out, "gt", subjects)
        assert len(poses.sequences) == count * 4
        for sequence in poses.sequences:
            camera = h36m_cameras(sequence.subject)[CAMERAS.index(sequence.camera)]
            joints = world_to_camera(clips[sequence.clip][:, TO_16].astype(np.float64) / 1000, camera)
            rows = slice(sequence.start, sequence.stop)
            np.testing.assert_allclose(poses.targets_3d[rows], joints - joints[:, :1], atol=1e-5)
            pixels = image_coordinates(poses.inputs_2d[rows].numpy().astype(np.float64), *sequence.resolution)
            np.testing.assert_allclose(pixels, project_to_2d(joints, camera), atol=1e-3)


@pytest.mark.parametrize(("option", "suffix"), [("--from-source", ".cdf.mat"), ("--from-source-cdf", ".cdf")])
def test_trees(tmp_path: Path, prepare: Callable[..., Outcome], option: str, suffix: str) -> None:
    clips = some_clips()
    tree = write_tree(tmp_path / "human36m", clips, suffix)
    tree_file(tree, "S5", "._Photo", suffix).write_bytes(b"attributes that macOS adds")
    write = {".cdf.mat": write_mat, ".cdf": write_cdf}[suffix]
    write(tree_file(tree, "S11", "Directions", suffix), np.full((2, 32, 3), np.nan, np.float32))
    outcome = prepare(option, tree, "--out", tmp_path / "out", "--allow-partial")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert_holds(tmp_path / "out", clips)
    assert "S1 3 of 30" in outcome.stdout
    assert "S11 3 of 29" in outcome.stdout
    assert len(load_h36m(tmp_path / "out", "gt", SUBJECTS).sequences) == 7 * 3 * 4


def test_the_three_forms_give_the_same(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    clips = some_clips(("S1", "S9"))
    archive = write_zip(tmp_path / "h36m.zip", archive_members(clips))
    sources = {
        "--from-archive": archive,
        "--from-mat": write_tree(tmp_path / "mat", clips, ".cdf.mat"),
        "--from-cdf": write_tree(tmp_path / "cdf", clips, ".cdf"),
    }
    for option, source in sources.items():
        assert prepare(option, source, "--allow-partial", "--out", tmp_path / option).code == 0
        assert_holds(tmp_path / option, clips)
    for name in ("data_3d_h36m.npz", "data_2d_h36m_gt.npz"):
        contents = {(tmp_path / option / name).read_bytes() for option in sources}
        # zip members bear the time of day, so compare what they hold
        held = {
            zipfile.ZipFile(io.BytesIO(content)).read(zipfile.ZipFile(io.BytesIO(content)).namelist()[0]) for content in contents
        }
        assert len(held) == 1


@pytest.mark.parametrize("suffix", [".cdf.mat", pytest.param(".cdf", marks=pytest.mark.campaign)])
def test_complete_tree_needs_no_allow_partial(tmp_path: Path, prepare: Callable[..., Outcome], suffix: str) -> None:
    write_tree(tmp_path / "one", {("S5", "Eating"): person(0)}, suffix)
    data = tree_file(tmp_path / "one", "S5", "Eating", suffix).read_bytes()
    for subject in SUBJECTS:
        for action in ACTIONS:
            path = tree_file(tmp_path / "all", subject, action, suffix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    option = {".cdf.mat": "--from-mat", ".cdf": "--from-cdf"}[suffix]
    outcome = prepare(option, tmp_path / "all", "--out", tmp_path / "out")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert_holds(tmp_path / "out", {(s, a): person(0) for s in SUBJECTS for a in ACTIONS if (s, a) != ("S11", "Directions")})


def test_file_names_become_the_names_of_the_field(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    clip = person(0)
    names = ("Directions_1", "Phoning 2", "TakingPhoto_1", "WalkingDog")
    archive = write_zip(tmp_path / "h36m.zip", {position_member("S1", name): positions_h5(clip) for name in names})
    assert prepare("--from-archive", archive, "--allow-partial", "--out", tmp_path / "out").code == 0
    assert_holds(tmp_path / "out", {("S1", name): clip for name in ("Directions 1", "Phoning 2", "Photo 1", "WalkDog")})


def test_default_output_is_the_folder_of_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("prepare_data_h36m", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--from-cdf", "x"])
    assert script.parse_args().out == REPOSITORY / "data"


# ---------------------------------------------------------------------------------------------------------- detections


def test_detections_are_permuted_and_their_cameras_ordered(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    clips = some_clips(("S5", "S11"), ("Directions 1", "Walking"))
    members = archive_members(clips)
    members |= detection_members(clips, "StackedHourglass")
    members |= detection_members(clips, "StackedHourglassFineTuned240")
    # The video of S11's Directions is missing in one camera, and the clip is left out altogether.
    members["h36m/S11/StackedHourglass/Directions.55011271.h5"] = b"corrupt"
    archive = write_zip(tmp_path / "h36m.zip", members)
    outcome = prepare("--from-archive", archive, "--detections", "--allow-partial", "--out", tmp_path / "out")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert len(list((tmp_path / "out").iterdir())) == 4
    for keypoints in ("sh_pt_mpii", "sh_ft_h36m"):
        arrays = load_arrays(tmp_path / "out" / f"data_2d_h36m_{keypoints}.npz")
        assert arrays["metadata"]["num_joints"] == 16
        assert arrays["metadata"]["keypoints_symmetry"] == [[4, 5, 6, 10, 11, 12], [1, 2, 3, 13, 14, 15]]
        assert {s: set(actions) for s, actions in arrays["positions_2d"].items()} == {
            s: {"Directions 1", "Walking"} for s in ("S5", "S11")
        }
        for seed, ((subject, action), clip) in enumerate(clips.items()):
            for camera, view in zip(CAMERAS, arrays["positions_2d"][subject][action], strict=True):
                expected = detections(int(camera) + seed, len(clip) + 1)[:, HOURGLASS_TO_16]
                np.testing.assert_array_equal(view, expected.astype(np.float32))
        poses = load_h36m(tmp_path / "out", keypoints, ("S5", "S11"))
        assert len(poses) == 4 * sum(len(clip) for clip in clips.values())


def test_fine_tuned_detections_alone_from_their_tar(tmp_path: Path) -> None:
    """All 839 files, as they were published: without the folder h36m, and without one view of S11's Directions."""
    data = h5_bytes("poses", detections(0, 2))
    with tarfile.open(tmp_path / "ft.tar.gz", "w:gz") as archive:
        for subject in SUBJECTS:
            for action in ACTIONS:
                for camera in CAMERAS:
                    if (subject, action, camera) != ("S11", "Directions", "54138969"):
                        name = f"{subject}/StackedHourglassFineTuned240/{action.replace(' ', '_')}.{camera}.h5"
                        member = tarfile.TarInfo(name)
                        member.size = len(data)
                        archive.addfile(member, io.BytesIO(data))
    outcome = run_process("--detections", tmp_path / "ft.tar.gz", "--out", tmp_path / "out")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["data_2d_h36m_sh_ft_h36m.npz"]
    positions = load_arrays(tmp_path / "out" / "data_2d_h36m_sh_ft_h36m.npz")["positions_2d"]
    assert {subject: len(actions) for subject, actions in positions.items()} == {s: 29 if s == "S11" else 30 for s in SUBJECTS}


POSES = "h36m/S1/StackedHourglass/Walking.{}.h5"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({POSES.format(CAMERAS[1]): None}, ("S1 Walking", CAMERAS[1])),
        ({POSES.format("12345678"): h5_bytes("poses", detections(0, 3))}, ("12345678", "no camera")),
        (
            {POSES.format(CAMERAS[0]): h5_bytes("poses", np.zeros((3, 17, 2)))},
            (POSES.format(CAMERAS[0]), "(3, 17, 2)", "(T, 16, 2)"),
        ),
        ({POSES.format(CAMERAS[0]): h5_bytes("poses", np.zeros((0, 16, 2)))}, (POSES.format(CAMERAS[0]), "(0, 16, 2)")),
        ({POSES.format(CAMERAS[0]): h5_bytes("poses", np.full((3, 16, 2), np.nan))}, (POSES.format(CAMERAS[0]), "NaN")),
        (
            {POSES.format(CAMERAS[0]): h5_bytes("pose", detections(0, 3))},
            (POSES.format(CAMERAS[0]), "no dataset 'poses'", "pose"),
        ),
        ({POSES.format(CAMERAS[0]): b"not HDF5"}, (POSES.format(CAMERAS[0]), "damaged")),
        ({f"h36m/S1/StackedHourglass/./Walking.{CAMERAS[0]}.h5": b""}, ("S1 Walking 54138969 twice",)),
        (dict.fromkeys(map(POSES.format, CAMERAS)), ("no S*/StackedHourglass/*.h5",)),
    ],
)
def test_bad_detections(
    tmp_path: Path, prepare: Callable[..., Outcome], changes: dict[str, bytes | None], words: tuple[str, ...]
) -> None:
    clips = some_clips(("S1",), ("Walking",))
    members = archive_members(clips) | detection_members(clips, "StackedHourglass") | changes
    archive = write_zip(tmp_path / "h36m.zip", {name: data for name, data in members.items() if data is not None})
    outcome = prepare("--from-archive", archive, "--detections", "--allow-partial", "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", archive, *words)


def test_incomplete_detections(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    archive = write_zip(tmp_path / "sh.zip", detection_members(some_clips(), "StackedHourglass"))
    outcome = prepare("--detections", archive, "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", archive, "S1", "3 sequences, 30", "--allow-partial")


def test_detections_of_no_sequence_are_left_out_and_said(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    clips = some_clips(("S5",), ("_ALL", "Walking", "Walking 1", "Walking 2"))
    archive = write_zip(tmp_path / "sh.zip", detection_members(clips, "StackedHourglass"))
    outcome = prepare("--detections", archive, "--out", tmp_path / "out", "--allow-partial")
    assert outcome.code == 0
    assert outcome.stderr.startswith("warning: ")
    assert "ALL.54138969.h5" in outcome.stderr
    positions = load_arrays(tmp_path / "out" / "data_2d_h36m_sh_pt_mpii.npz")["positions_2d"]
    assert set(positions["S5"]) == {"Walking", "Walking 1", "Walking 2"}


def test_more_sequences_than_there_are_is_not_called_partial(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    archive = write_zip(tmp_path / "h36m.zip", without() | {position_member("S9", "Eating 2"): positions_h5(person(0))})
    assert_refused(prepare("--from-archive", archive, "--out", tmp_path / "out"), tmp_path / "out", "Eating 2.h5")
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out", "--allow-partial")
    assert outcome.code == 0
    assert "has more than Human3.6M: S9 31 of 30" in outcome.stdout
    assert "partial" not in outcome.stdout


# ----------------------------------------------------------------------------------------------------------- bad usage


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--from-archive", "a.zip", "--from-mat", "b"),
        ("--from-mat", "b", "--from-source-cdf", "c"),
        ("--detections",),
        ("--from-cdf", "c", "--detections"),
        ("--from-archive", "a.zip", "--unknown"),
    ],
)
def test_bad_usage(prepare: Callable[..., Outcome], arguments: tuple[str, ...]) -> None:
    outcome = prepare(*arguments)
    assert outcome.code == 2
    assert outcome.stderr.startswith("usage: ")
    assert outcome.stdout == ""


# ----------------------------------------------------------------------------------------------------------- bad input


def test_bad_archive_as_a_user_meets_it(tmp_path: Path) -> None:
    """In a process of its own: one line, no traceback, no warning of a library."""
    archive = write_zip(tmp_path / "h36m.zip", archive_members(some_clips(("S1",))))
    archive.write_bytes(archive.read_bytes()[:-40])
    assert_refused(run_process("--from-archive", archive, "--out", tmp_path / "out"), tmp_path / "out", archive, "cut off")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "does not exist"),
        (b"", "no .zip or .tar.gz"),
        (b"<html>The link has moved</html>", "no .zip or .tar.gz"),
        (b"\x1f\x8b\x08\x00truncated gzip", "no .zip or .tar.gz"),
    ],
)
def test_archive_that_is_none(tmp_path: Path, prepare: Callable[..., Outcome], content: bytes | None, word: str) -> None:
    archive = tmp_path / "h36m.zip"
    if content is not None:
        archive.write_bytes(content)
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", archive, word)


def test_archive_that_is_a_folder(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    outcome = prepare("--from-archive", tmp_path, "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", tmp_path, "is a folder")


def test_archive_of_something_else(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    archive = write_zip(tmp_path / "h36m.zip", {"holiday/photo.jpg": b""})
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", archive, "S*/MyPoses/3D_positions/*.h5")


def test_archive_with_a_damaged_member(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    """The zip's directory is whole, the bytes of one member are not."""
    archive = write_zip(tmp_path / "h36m.zip", archive_members(some_clips(("S1",))))
    with zipfile.ZipFile(archive) as opened:
        member = opened.infolist()[1]
    data = bytearray(archive.read_bytes())
    middle = member.header_offset + 200
    data[middle : middle + 50] = bytes(50)
    archive.write_bytes(data)
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", archive, member.filename, "damaged")


def huge_h5() -> bytes:
    """A small file whose dataset claims 7.7 GB."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.create_dataset("3D_positions", (96, 10_000_000), "f8", chunks=(96, 100), compression="gzip")
    assert len(file.getvalue()) < 100_000
    return file.getvalue()


def spoiled(value: float) -> np.ndarray:
    clip = person(0, frames=4)
    clip[2, 7, 1] = value
    return clip


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (h5_bytes("2D_positions", np.zeros((96, 3))), ("no dataset '3D_positions'", "2D_positions")),
        (h5_bytes("3D_positions", np.zeros((95, 3))), ("(95, 3)", "(96, T)")),
        (h5_bytes("3D_positions", np.zeros(96 * 3 + 1)), ("(289,)", "(96, T)")),
        (h5_bytes("3D_positions", np.zeros((3, 96))), ("(3, 96)", "(96, T)")),  # transposed: right count, scrambled joints
        (h5_bytes("3D_positions", np.zeros((96, 0))), ("(96, 0)",)),
        (h5_bytes("3D_positions", np.full((96, 3), b"text")), ("no real numbers",)),
        (h5_bytes("3D_positions/inner", np.zeros((96, 3))), ("no dataset '3D_positions'",)),
        (positions_h5(spoiled(np.nan)), ("NaN", "frame 2, joint 7")),
        (positions_h5(spoiled(-np.inf)), ("infinite", "frame 2, joint 7")),
        (h5_bytes("3D_positions", np.full((96, 3), 1e300)), ("infinite",)),
        (positions_h5(person(0) / 1000), ("millimetres", "0.000651 m")),  # metres
        (positions_h5(person(0) / 10), ("millimetres", "0.0651 m")),  # centimetres
        (positions_h5(person(0) * 1000), ("millimetres", "651 m")),
        (positions_h5(person(0))[:-500], ("damaged", "truncated")),
        (b"", ("damaged",)),
        (huge_h5(), ("7680000000 bytes", "0 are there")),
    ],
)
def test_bad_member(tmp_path: Path, prepare: Callable[..., Outcome], data: bytes, words: tuple[str, ...]) -> None:
    """The bad file comes last, so that good ones have been read before it."""
    clips = some_clips(("S1", "S5"))
    members = archive_members(clips)
    name = list(members)[-1]
    archive = write_zip(tmp_path / "h36m.zip", members | {name: data})
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", f"{archive}: {name}", *words)


def test_member_too_large_is_not_read(tmp_path: Path, prepare: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h5_archive, "_MAX_FILE_BYTES", 100_000)
    name = position_member("S1", "Walking")
    archive = write_zip(tmp_path / "h36m.zip", {name: bytes(200_000)})
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", f"{archive}: {name}", "200000 bytes")


@pytest.mark.parametrize("name", ["../evil.h5", "/tmp/evil.h5", "../../S5/MyPoses/3D_positions/Walking.h5", "C:\\evil.h5"])
def test_paths_in_an_archive_are_refused_and_write_nothing(tmp_path: Path, prepare: Callable[..., Outcome], name: str) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    members = archive_members(some_clips(("S1",))) | {name: positions_h5(person(0))}
    archive = write_zip(folder / "h36m.zip", members)
    before = set(tmp_path.rglob("*"))
    outcome = prepare("--from-archive", archive, "--out", folder / "out", "--allow-partial")
    assert_refused(outcome, folder / "out", archive, "leads out of the folder")
    assert set(tmp_path.rglob("*")) == before


def without(*missing: tuple[str, str]) -> dict[str, bytes]:
    data = positions_h5(person(0))
    return {position_member(s, a): data for s in SUBJECTS for a in ACTIONS if (s, a) not in missing}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (without(("S7", "Walking 1")), ("S7/MyPoses/3D_positions/*.h5", "29 sequences, 30 were")),
        (without(("S11", "Walking 1")), ("S11/MyPoses", "28 sequences, 29 were", "Directions")),
        (without(*(("S8", action) for action in ACTIONS)), ("S8/MyPoses", " 0 sequences, 30 were")),
        (without() | {position_member("S9", "Extra"): positions_h5(person(0))}, ("S9/MyPoses", "31 sequences, 30 were")),
    ],
)
def test_incomplete_archive(
    tmp_path: Path, prepare: Callable[..., Outcome], members: dict[str, bytes], words: tuple[str, ...]
) -> None:
    archive = write_zip(tmp_path / "h36m.zip", members)
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out")
    assert_refused(outcome, tmp_path / "out", archive, "--allow-partial", *words)


def test_archive_without_the_corrupt_clip_is_complete(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    archive = write_zip(tmp_path / "h36m.zip", without(("S11", "Directions")))
    assert prepare("--from-archive", archive, "--out", tmp_path / "out").code == 0
    assert len(positions_in(tmp_path / "out")["S11"]) == 29


def test_clip_held_twice(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    names = [position_member("S1", name) for name in ("Walking 1", "Walking_1")]
    archive = write_zip(tmp_path / "h36m.zip", dict.fromkeys(names, positions_h5(person(0))))
    outcome = prepare("--from-archive", archive, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", "S1 Walking 1 twice", *names)


def mat_bytes(path: Path, contents: dict[str, np.ndarray]) -> bytes:
    scipy.io.savemat(path, contents, appendmat=False)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), ("damaged",)),
        (lambda path: path.write_bytes(b""), ("damaged",)),
        (lambda path: path.write_bytes(b"text" * 100), ("damaged",)),
        (lambda path: path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512)), ("7.3", "-v7")),
        (lambda path: write_mat(path, person(0), "pose"), ("no variable 'data'",)),
        (lambda path: write_mat(path, person(0)[:, :31]), ("(3, 93)", "(T, 96)")),
        (lambda path: scipy.io.savemat(path, {"data": "text"}, appendmat=False), ("'data'", "(T, 96)")),
        (lambda path: write_mat(path, spoiled(np.nan)), ("NaN", "frame 2, joint 7")),
        (lambda path: write_mat(path, person(0) / 1000), ("millimetres",)),
    ],
)
def test_bad_mat(
    tmp_path: Path, prepare: Callable[..., Outcome], spoil: Callable[[Path], object], words: tuple[str, ...]
) -> None:
    tree = write_tree(tmp_path / "mat", some_clips(("S1", "S5")), ".cdf.mat")
    path = tree_file(tree, "S5", "Walking", ".cdf.mat")
    spoil(path)
    outcome = prepare("--from-mat", tree, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", path, *words)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-600]), ("damaged",)),
        (lambda path: path.write_bytes(b""), ("damaged",)),
        (lambda path: path.write_bytes(b"text" * 100), ("damaged",)),
        (lambda path: (path.unlink(), write_cdf(path, person(0), "D2")), ("no variable 'Pose'", "D2")),
        (lambda path: (path.unlink(), write_cdf(path, person(0)[:, :31])), ("(1, 3, 93)", "(T, 96)")),
        (lambda path: (path.unlink(), write_cdf(path, spoiled(np.inf))), ("infinite", "frame 2, joint 7")),
        (lambda path: (path.unlink(), write_cdf(path, person(0) / 1000)), ("millimetres",)),
    ],
)
def test_bad_cdf(
    tmp_path: Path, prepare: Callable[..., Outcome], spoil: Callable[[Path], object], words: tuple[str, ...]
) -> None:
    tree = write_tree(tmp_path / "cdf", some_clips(("S1", "S5")), ".cdf")
    path = tree_file(tree, "S5", "Walking", ".cdf")
    spoil(path)
    outcome = prepare("--from-cdf", tree, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", path, *words)


def test_cdf_needs_cdflib(tmp_path: Path, prepare: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    tree = write_tree(tmp_path / "cdf", some_clips(("S1",)), ".cdf")
    monkeypatch.setitem(sys.modules, "cdflib", None)
    outcome = prepare("--from-cdf", tree, "--out", tmp_path / "out", "--allow-partial")
    assert_refused(outcome, tmp_path / "out", tree, "pip install cdflib")


@pytest.mark.parametrize(("option", "suffix"), [("--from-mat", ".cdf.mat"), ("--from-cdf", ".cdf")])
def test_bad_tree(tmp_path: Path, prepare: Callable[..., Outcome], option: str, suffix: str) -> None:
    out = tmp_path / "out"
    assert_refused(prepare(option, tmp_path / "nowhere", "--out", out), out, tmp_path / "nowhere", "no folder")
    (tmp_path / "file").write_bytes(b"")
    assert_refused(prepare(option, tmp_path / "file", "--out", out), out, tmp_path / "file", "no folder")
    (tmp_path / "empty").mkdir()
    outcome = prepare(option, tmp_path / "empty", "--out", out, "--allow-partial")
    assert_refused(outcome, out, tmp_path / "empty", f"S*/MyPoseFeatures/D3_Positions/*{suffix}")
    tree = write_tree(tmp_path / "tree", some_clips(("S1",)), suffix)
    assert_refused(prepare(option, tree, "--out", out), out, tree, "S1/", "3 sequences, 30", "--allow-partial")


def test_file_cut_anywhere_is_an_error_of_ours(tmp_path: Path) -> None:
    """Whatever the readers of the three formats raise on a cut file, a DuaError comes out of it."""
    clips = {("S1", "Walking"): person(0)}
    archive = tmp_path / "h36m.zip"
    whole_h5 = positions_h5(clips["S1", "Walking"])
    for length in range(0, len(whole_h5) - 1, len(whole_h5) // 25):
        write_zip(archive, {position_member("S1", "Walking"): whole_h5[:length]})
        with h5_archive.H5Archive(archive) as opened, pytest.raises(DuaError, match="damaged"):
            h36m_sources.read_archive(opened, allow_partial=True)
    for suffix, read in ((".cdf.mat", h36m_sources.read_mat), (".cdf", h36m_sources.read_cdf)):
        path = tree_file(write_tree(tmp_path / suffix, clips, suffix), "S1", "Walking", suffix)
        whole = path.read_bytes()
        for length in range(0, len(whole) - 200, len(whole) // 25):
            path.write_bytes(whole[:length])
            with pytest.raises(DuaError):
                read(tmp_path / suffix, allow_partial=True)


# -------------------------------------------------------------------------------------------------------------- outputs


@pytest.mark.parametrize("name", ["data_3d_h36m.npz", "data_2d_h36m_gt.npz", "data_2d_h36m_sh_pt_mpii.npz"])
def test_existing_files_are_kept_unless_told(tmp_path: Path, prepare: Callable[..., Outcome], name: str) -> None:
    clips = some_clips(("S1",))
    archive = write_zip(tmp_path / "h36m.zip", archive_members(clips) | detection_members(clips, "StackedHourglass"))
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(b"dear to its owner")
    arguments = ("--from-archive", archive, "--detections", "--allow-partial", "--out", out)
    outcome = prepare(*arguments)
    assert outcome.code == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert str(out / name) in outcome.stderr
    assert "--overwrite" in outcome.stderr
    assert [path.read_bytes() for path in out.iterdir()] == [b"dear to its owner"]
    assert prepare(*arguments, "--overwrite").code == 0
    assert_holds(out, clips)
    assert len(list(out.iterdir())) == 3


def test_bad_source_keeps_what_was_to_be_overwritten(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    archive = write_zip(tmp_path / "h36m.zip", {position_member("S1", "Walking"): b"damaged"})
    out = tmp_path / "out"
    out.mkdir()
    (out / "data_3d_h36m.npz").write_bytes(b"dear to its owner")
    outcome = prepare("--from-archive", archive, "--allow-partial", "--overwrite", "--out", out)
    assert outcome.code == 2
    assert [path.read_bytes() for path in out.iterdir()] == [b"dear to its owner"]


def test_joints_that_cannot_be_projected_leave_the_pair_that_was_there(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    out = tmp_path / "out"
    clips = some_clips(("S1",))
    good = write_zip(tmp_path / "good.zip", archive_members(clips))
    assert prepare("--from-archive", good, "--allow-partial", "--out", out).code == 0
    pair = {path.name: path.read_bytes() for path in out.iterdir()}
    far = {key: clip + np.float32([0, 40_000, 0]) for key, clip in clips.items()}  # mm: outside the room, behind two cameras
    bad = write_zip(tmp_path / "bad.zip", archive_members(far))
    outcome = prepare("--from-archive", bad, "--allow-partial", "--overwrite", "--out", out)
    assert outcome.code == 2
    assert "behind Human3.6M's cameras" in outcome.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == pair


def test_full_disk_leaves_nothing(tmp_path: Path, prepare: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    archive = write_zip(tmp_path / "h36m.zip", archive_members(some_clips(("S1",))))

    def fail(file: io.BufferedWriter, **_: np.ndarray) -> None:
        file.write(b"half a file")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    out = tmp_path / "out"
    assert_refused(prepare("--from-archive", archive, "--allow-partial", "--out", out), out, out, "No space left")


def test_output_folder_that_is_a_file(tmp_path: Path, prepare: Callable[..., Outcome]) -> None:
    archive = write_zip(tmp_path / "h36m.zip", archive_members(some_clips(("S1",))))
    out = tmp_path / "out"
    out.write_bytes(b"")
    outcome = prepare("--from-archive", archive, "--allow-partial", "--out", out)
    assert outcome.code == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert str(out) in outcome.stderr
