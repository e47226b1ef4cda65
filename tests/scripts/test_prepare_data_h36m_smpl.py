"""data/prepare_data_h36m_smpl.py and common/preparation/smpl_sources.py, on made-up fits of the demo's bodies and a made-up SMPL."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from common.datasets.smpl import load_pairs
from common.errors import DuaError
from common.files.arrays import load_arrays
from common.preparation.smpl_fits import find_fits, fit_errors, read_fits
from common.preparation.smpl_sources import read_joint_file
from common.start import run_script
from tests import conftest
from tests.datasets.test_smpl import SMPL_SIDES, changed, make_bodies, write

SCRIPT = conftest.ROOT / "data" / "prepare_data_h36m_smpl.py"
TO_17 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
STRIDE = 5  # the fits are of every fifth frame
# Which take a number means, the other way round for S5: the files' numbers differ between subjects.
SUBACTIONS = {"S1": {"1": "Walking", "2": "Walking 1"}, "S5": {"1": "Walking 1", "2": "Walking"}}
EYE = np.eye(17)


class Case:
    """Takes of two subjects, files of fits that agree with them, and an SMPL that the fits are written for.

    The made-up SMPL reads joints from `pose`, relative to `trans`; its 17 vertices are the recorded joints of the frame
    that `shape[0]` numbers, the first of them moved by `shape[1]` metres.
    """

    def __init__(self, bodies):
        walks = ("Walking", "Walking 1")
        self.h36m = {s: {a: takes[a] for a in walks} for s, takes in bodies["h36m"].items()}
        self.smpl = {s: {a: takes[a] for a in walks} for s, takes in bodies["smpl"].items()}
        self.table = []
        self.joints, self.fits = {}, {}
        for subject, parts in SUBACTIONS.items():
            self.joints[subject] = {"14": {part: self.recorded(subject, action) for part, action in parts.items()}}
            self.fits[subject] = {"14": {part: self.fitted(subject, action) for part, action in parts.items()}}

    def recorded(self, subject, action, first=0):
        joints = self.h36m[subject][action][:, TO_17].astype(np.float64) * 1000
        return {str(first + i): frame for i, frame in enumerate(joints.round(3).tolist())}

    def fitted(self, subject, action, first=0):
        fits = {}
        for i in range(0, len(self.smpl[subject][action]), STRIDE):
            joints = self.smpl[subject][action][i].astype(np.float64)
            self.table.append(self.h36m[subject][action][i, TO_17])
            shape = [len(self.table) - 1, 0, *range(8)]
            fits[str(first + i)] = {
                "pose": (joints - joints[0]).reshape(-1).tolist(),
                "shape": shape,
                "trans": joints[0].tolist(),
            }
        return fits

    def body(self, pose, shape, trans):
        joints = pose.reshape(-1, 24, 3) + trans[:, None]
        vertices = np.array([self.table[int(number)] for number in shape[:, 0]], dtype=np.float64)
        vertices[:, 0, 0] += shape[:, 1]
        return joints, vertices

    def write(self, folder):
        folder.mkdir(exist_ok=True)
        for subject in self.fits:
            stem = f"Human36M_subject{subject[1:]}"
            (folder / f"{stem}_joint_3d.json").write_text(json.dumps(self.joints[subject]))
            (folder / f"{stem}_smpl_param.json").write_text(json.dumps(self.fits[subject]))
        return folder

    def read(self, folder, regressor=EYE, **options):
        return read_fits(self.write(folder), self.h36m, self.body, regressor, **options)


@pytest.fixture(scope="module")
def bodies():
    return make_bodies()


@pytest.fixture
def case(bodies):
    return Case(bodies)


def run(capsys, monkeypatch, *arguments):
    """The script as a user runs it, without the seconds of a new process: (exit code, stdout, stderr)."""
    spec = importlib.util.spec_from_file_location("prepare_data_h36m_smpl", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    code = 0
    try:
        run_script(module.main)
    except SystemExit as exit:
        code = exit.code
    return (code, *capsys.readouterr())


# --- fits as .json ----------------------------------------------------------------------------------------------------


def test_fits_lie_beside_the_frames_that_they_were_made_of(case, tmp_path):
    fits = case.read(tmp_path)
    usable = 0
    for subject, takes in case.smpl.items():
        for action, expected in takes.items():
            joints = fits.positions[subject][action]
            assert joints.shape == expected.shape
            assert joints.dtype == np.float32
            np.testing.assert_allclose(joints[::STRIDE], expected[::STRIDE], atol=1e-6)
            assert np.isnan(np.delete(joints, np.arange(0, len(joints), STRIDE), axis=0)).all()
            usable += len(expected[::STRIDE])
    frames = sum(len(j) for takes in case.smpl.values() for j in takes.values())
    assert (fits.frames, fits.usable, fits.missing, fits.dropped, fits.skipped) == (frames, usable, frames - usable, 0, [])


def test_frames_counted_from_one_are_put_where_they_belong(case, tmp_path):
    case.joints["S1"]["14"]["1"] = case.recorded("S1", "Walking", first=1)
    case.fits["S1"]["14"]["1"] = case.fitted("S1", "Walking", first=1)
    joints = case.read(tmp_path).positions["S1"]["Walking"]
    np.testing.assert_allclose(joints[::STRIDE], case.smpl["S1"]["Walking"][::STRIDE], atol=1e-6)


def test_joints_of_some_frames_are_enough_to_tell_takes_apart(case, tmp_path):
    expected = case.read(tmp_path).positions["S5"]["Walking 1"]
    part = case.joints["S5"]["14"]["1"]
    case.joints["S5"]["14"]["1"] = {frame: part[frame] for frame in list(part)[::-STRIDE]}
    np.testing.assert_array_equal(case.read(tmp_path).positions["S5"]["Walking 1"], expected)


def test_fits_worse_than_the_bound_are_left_out(case, tmp_path):
    # One joint of 17 moved by d, after the means are brought together: off by 32 d / 289 in the mean.
    bad = case.fits["S1"]["14"]["1"]
    for frame, error in (("0", 0.0245), ("5", 0.0255), ("10", 0.5)):
        bad[frame]["shape"][1] = error * 289 / 32
    bad["15"]["trans"][0] = float("nan")
    fits = case.read(tmp_path)
    walking = fits.positions["S1"]["Walking"]
    assert fits.dropped == 3
    assert np.isfinite(walking[[0, 20]]).all()
    assert np.isnan(walking[[5, 10, 15]]).all()
    assert case.read(tmp_path, max_error_mm=26).dropped == 2
    # Without a regressor the vertices are not looked at.
    assert case.read(tmp_path, regressor=None).dropped == 1


def test_the_coarse_check_finds_gross_misfits(case, tmp_path):
    pose = case.fits["S1"]["14"]["1"]["5"]["pose"]
    for joint in (4, 7, 18, 20):  # left knee, ankle, elbow, wrist
        pose[3 * joint] += 0.3
    fits = case.read(tmp_path, regressor=None)
    assert fits.dropped == 1
    assert np.isnan(fits.positions["S1"]["Walking"][5]).all()


def test_the_error_ignores_place_but_not_direction(bodies):
    world, joints = bodies["h36m"]["S1"]["Walking"][:4], bodies["smpl"]["S1"]["Walking"][:4]
    vertices = world[:, TO_17]
    assert fit_errors(world, joints, vertices + 5, EYE).max() < 1e-5
    assert fit_errors(world, joints, vertices * [-1, -1, 1], EYE).min() > 0.1
    assert fit_errors(world, joints + 5, vertices, None).max() < 0.03
    assert fit_errors(world, joints * [-1, -1, 1], vertices, None).min() > 0.1


def test_what_the_3d_file_lacks_is_skipped_and_said(case, tmp_path):
    del case.h36m["S1"]["Walking"]
    del case.h36m["S5"]
    fits = case.read(tmp_path)
    assert {s: list(takes) for s, takes in fits.positions.items()} == {"S1": ["Walking 1"]}
    assert fits.skipped == ["S1 Walking (subaction 1)", "S5 (all)"]


def test_joints_of_neither_take_stop_it(case, tmp_path):
    case.joints["S1"]["14"]["2"]["3"][5][0] += 1.5
    with pytest.raises(DuaError, match=r"action 14, subaction 2 is neither take .*'Walking 1', differs by 1\.5 mm"):
        case.read(tmp_path)


def test_one_take_is_not_given_twice(case, tmp_path):
    case.joints["S1"]["14"]["2"] = case.joints["S1"]["14"]["1"]
    with pytest.raises(DuaError, match=r"subaction 2 is 'Walking', as another subaction is"):
        case.read(tmp_path)


def without(key):
    return lambda case: case.fits["S1"]["14"]["1"]["10"].pop(key)


def put(key, value):
    return lambda case: case.fits["S1"]["14"]["1"]["10"].update({key: value})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("trans"), r"action 14, subaction 1, frame 10 has no 'trans'"),
        (put("pose", [0.0] * 71), r"subaction 1: pose is not 72 numbers in every frame"),
        (put("shape", ["a"] * 10), r"shape is not 10 numbers"),
        (put("trans", None), r"trans is not 3 numbers"),
        (lambda case: case.fits["S1"]["14"]["1"].update({"10": []}), r"frame 10 holds a list"),
        (lambda case: case.fits["S1"]["14"]["1"].update({"x": {}}), r"has a frame 'x', numbers were expected"),
        (
            lambda case: case.fits["S1"]["14"]["1"].update({"999": case.fits["S1"]["14"]["1"]["0"]}),
            r"frames that 'Walking' lacks",
        ),
        (lambda case: case.fits["S1"].update({"99": case.fits["S1"]["14"]}), r"there is no such action, they are 2 to 16"),
        (lambda case: case.joints["S1"]["14"].pop("2"), r"joint_3d\.json: action 14, subaction 2 is missing"),
        (lambda case: case.joints["S1"]["14"]["1"]["0"].pop(), r"joints is not 51 numbers in every frame"),
        (lambda case: case.fits.update({"S1": [1]}), r"subject1_smpl_param\.json holds a list"),
    ],
)
def test_damaged_content_is_named(case, tmp_path, damage, message):
    damage(case)
    with pytest.raises(DuaError, match=message) as raised:
        case.read(tmp_path)
    assert "Human36M_subject1_" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_files_that_are_cut_or_missing_are_named(case, tmp_path):
    path = case.write(tmp_path) / "Human36M_subject1_smpl_param.json"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(DuaError, match=r"subject1_smpl_param\.json is damaged, cut off or no \.json file"):
            read_fits(tmp_path, case.h36m, case.body)
    (tmp_path / "Human36M_subject5_joint_3d.json").unlink()
    with pytest.raises(DuaError, match=r"subject5_joint_3d\.json does not exist; it belongs to Human36M_subject5_smpl_param"):
        find_fits(tmp_path)
    with pytest.raises(DuaError, match="holds no Human36M_subject"):
        find_fits(tmp_path.parent)
    with pytest.raises(DuaError, match="is no folder"):
        find_fits(path)


# --- files of joints --------------------------------------------------------------------------------------------------


def test_joint_files_in_either_form_and_unit(bodies, tmp_path):
    smpl = {
        s: {"Walking" if a == "Walking" else a.replace(" ", "_"): j * 1000 for a, j in t.items()}
        for s, t in bodies["smpl"].items()
    }
    del smpl["S5"]["Kicking"]
    smpl["S5"]["Juggling"] = smpl["S5"]["Walking"]
    np.save(tmp_path / "joints.npy", np.array(smpl, dtype=object))
    write(tmp_path, smpl=smpl)
    for file in ("joints.npy", "data_3d_h36m_smpl.npz"):
        fits = read_joint_file(tmp_path / file, bodies["h36m"])
        np.testing.assert_allclose(fits.positions["S1"]["Walking 1"], bodies["smpl"]["S1"]["Walking 1"], atol=1e-6)
        assert np.isnan(fits.positions["S5"]["Kicking"]).all()
        assert fits.missing == len(bodies["h36m"]["S5"]["Kicking"])
        assert fits.skipped == ["S5 Juggling"]


def test_joint_files_that_do_not_belong_are_refused(bodies, tmp_path):
    mirrored = {s: {a: j[:, SMPL_SIDES] for a, j in takes.items()} for s, takes in bodies["smpl"].items()}
    for smpl, message in (
        (mirrored, "mirrored"),
        (changed(bodies["smpl"], lambda j: j[::2]), "has 32 frames, Human3.6M's 3D has 64"),
        (changed(bodies["smpl"], lambda j: j[::-1] * [-1, -1, 1]), "S1 Walking: SMPL's joints lie"),
        ({"S9": bodies["smpl"]["S1"]}, "holds no usable fit"),
        ({"S1": 3}, "has no 'positions_3d' of the form"),
    ):
        path = write(tmp_path, smpl=smpl) / "data_3d_h36m_smpl.npz"
        with pytest.raises(DuaError, match=message):
            read_joint_file(path, bodies["h36m"])


# --- the script -------------------------------------------------------------------------------------------------------


def test_json_to_pairs_through_the_script(case, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("common.preparation.smpl_model.load_body_model", lambda path: case.body)
    monkeypatch.setattr("common.preparation.smpl_model.load_joint_regressor", lambda path: EYE)
    case.fits["S1"]["14"]["1"]["5"]["shape"][1] = 1.0
    case.write(tmp_path / "json")
    write(tmp_path, case.h36m)
    arguments = ("--from-json", tmp_path / "json", "--smpl_model", "x", "--out", tmp_path)
    code, stdout, _ = run(capsys, monkeypatch, *arguments, "--joint_regressor", "x")
    assert code == 0
    # 64 and 40 frames of each of two subjects: 13 and 8 fits, of which one is bad
    assert "2 subjects, 4 sequences, 208 frames" in stdout
    assert "41 frames have a usable fit, 166 have none" in stdout
    assert "1 fits are more than 25 mm off" in stdout
    pairs = load_pairs(tmp_path, subjects=("S1", "S5"))
    assert (len(pairs), pairs.dropped) == (4 * 41, 4 * 167)

    code, _, stderr = run(capsys, monkeypatch, *arguments)
    assert (code, "exists already and was kept" in stderr) == (2, True)
    code, stdout, _ = run(capsys, monkeypatch, *arguments, "--overwrite")
    assert (code, "42 frames have a usable fit" in stdout, "needs --joint_regressor" in stdout) == (0, True, True)


def test_a_bad_source_is_one_line_and_leaves_the_old_file(bodies, tmp_path):
    write(tmp_path, **bodies)
    before = (tmp_path / "data_3d_h36m_smpl.npz").read_bytes()
    (tmp_path / "bad.npz").write_bytes(before[: len(before) // 2])
    process = conftest.run_script(SCRIPT, "--from-npz", tmp_path / "bad.npz", "--out", tmp_path, "--overwrite")
    assert process.returncode == 2
    assert process.stderr.startswith("error: ")
    assert process.stderr.count("\n") == 1
    assert "bad.npz is damaged" in process.stderr
    assert (tmp_path / "data_3d_h36m_smpl.npz").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"bad.npz", "data_3d_h36m.npz", "data_3d_h36m_smpl.npz"}


def test_the_script_needs_the_3d_file_first(bodies, tmp_path, monkeypatch, capsys):
    path = write(tmp_path, smpl=bodies["smpl"]) / "data_3d_h36m_smpl.npz"
    out = tmp_path / "out"
    code, _, stderr = run(capsys, monkeypatch, "--from-npz", path, "--out", out)
    assert (code, "prepare_data_h36m.py" in stderr, out.exists()) == (2, True, False)
    write(tmp_path, h36m=bodies["h36m"])
    (out).mkdir()
    (tmp_path / "data_3d_h36m.npz").rename(out / "data_3d_h36m.npz")
    assert run(capsys, monkeypatch, "--from-npz", path, "--out", out)[0] == 0
    written = load_arrays(out / "data_3d_h36m_smpl.npz")["positions_3d"]
    np.testing.assert_array_equal(written["S5"]["Kicking"], bodies["smpl"]["S5"]["Kicking"])


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--from-json", "x"),
        ("--from-npz", "x", "--smpl_model", "y"),
        ("--from-json", "x", "--smpl_model", "y", "--max_error_mm", "30"),
        ("--from-json", "x", "--smpl_model", "y", "--joint_regressor", "z", "--max_error_mm", "nan"),
        ("--from-npz", "x", "--from-npy", "y"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, monkeypatch, capsys):
    code, _, stderr = run(capsys, monkeypatch, *arguments)
    assert code == 2
    assert "usage:" in stderr
