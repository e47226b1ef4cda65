"""common/preparation/smpl_model.py, on a made-up SMPL pickled as Python 2 and chumpy do it."""

import pickle
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
import torch

from common.errors import DuaError
from common.preparation.smpl_model import load_body_model, load_joint_regressor, read_smpl_arrays
from tests.faults.hostile import pickles

# SMPL's tree, the root's parent as SMPL writes it.
PARENTS = (2**32 - 1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


class Ch:
    """Keeps its state as chumpy's class does: numbers in `x`, and a set."""

    def __init__(self, **terms):
        self.__dict__.update(terms, _dirty_vars={"x"}, _itr=None, _make_dense=False)


class Select(Ch):
    pass


@pytest.fixture
def chumpy(monkeypatch):
    """Modules by those names, while a file is pickled."""
    for cls, name in ((Ch, "chumpy.ch"), (Select, "chumpy.reordering")):
        module = ModuleType(name)
        setattr(module, cls.__name__, cls)
        monkeypatch.setattr(cls, "__module__", name)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "chumpy", ModuleType("chumpy"))


@pytest.fixture
def model():
    """A body whose joints are some of its vertices, each vertex on one joint; two of them have a shape."""
    rng = np.random.default_rng(0)
    joints = rng.choice(6890, 24, replace=False)
    regressor = scipy.sparse.csc_matrix((np.ones(24), (np.arange(24), joints)), shape=(24, 6890))
    shapedirs = np.zeros((6890, 3, 10))
    shapedirs[joints[3], 0, 0], shapedirs[joints[4], 1, 9] = 0.5, 0.25
    on = rng.integers(0, 24, 6890)
    on[joints] = np.arange(24)
    return {
        "v_template": rng.normal(size=(6890, 3)), "shapedirs": shapedirs, "posedirs": np.zeros((6890, 3, 207), dtype=np.float32),
        "J_regressor": regressor, "weights": np.eye(24)[on], "kintree_table": np.stack([PARENTS, np.arange(24)]).astype(np.uint32),
        "f": np.zeros((13776, 3), dtype=np.uint32), "bs_style": "lbs",
    }  # fmt: skip


def as_released(model, select=False):
    """With the classes that the releases have."""
    shapedirs = Ch(x=model["shapedirs"])
    if select:  # of more shapes than are used
        more = np.concatenate([model["shapedirs"], np.ones((6890, 3, 2))], axis=2)
        places = np.arange(more.size).reshape(more.shape)[:, :, :10].ravel()
        shapedirs = Select(a=Ch(x=more), idxs=places, preferred_shape=(6890, 3, 10))
    return model | {"shapedirs": shapedirs, "weights": Ch(x=model["weights"])}


def write(path, model, protocol=2):
    data = pickle.dumps(model, protocol=protocol)
    path.write_bytes(data.replace(b"scipy.sparse._csc", b"scipy.sparse.csc") if protocol == 0 else data)
    return path


@pytest.mark.parametrize(("protocol", "select"), [(2, False), (2, True), (0, False)])
def test_a_released_file_is_read_without_chumpy(chumpy, model, tmp_path, monkeypatch, protocol, select):
    path = write(tmp_path / "SMPL_NEUTRAL.pkl", as_released(model, select), protocol)
    for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it is an error
    arrays = read_smpl_arrays(path)
    assert set(arrays) == {"v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f"}
    for name, array in arrays.items():
        wanted = model[name].toarray() if name == "J_regressor" else model[name]
        np.testing.assert_array_equal(array, wanted.astype(np.int64 if name in ("kintree_table", "f") else np.float32))


def test_smplx_poses_it(chumpy, model, tmp_path):
    pytest.importorskip("smplx")
    write(tmp_path / "SMPL_NEUTRAL.pkl", as_released(model))
    body = load_body_model(tmp_path)
    rest = model["J_regressor"].toarray() @ model["v_template"]
    trans = np.array([[1.0, 2, 3], [0, 0, 0]])
    joints, vertices = body(np.zeros((2, 72)), np.zeros((2, 10)), trans)
    np.testing.assert_allclose(joints, rest + trans[:, None], atol=1e-5)
    np.testing.assert_allclose(vertices[1], model["v_template"], atol=1e-5)

    shape = np.zeros((1, 10))
    shape[0, 0], shape[0, 9] = 2, 4
    shaped, _ = body(np.zeros((1, 72)), shape, np.zeros((1, 3)))
    moved = rest.copy()
    moved[3, 0] += 1
    moved[4, 1] += 1
    np.testing.assert_allclose(shaped[0], moved, atol=1e-5)

    turned, _ = body(np.array([[0, 0, np.pi / 2, *np.zeros(69)]]), np.zeros((1, 10)), np.zeros((1, 3)))
    offset = rest - rest[0]
    np.testing.assert_allclose(turned[0], rest[0] + np.stack([-offset[:, 1], offset[:, 0], offset[:, 2]], axis=1), atol=1e-5)


class FakeSmplx(torch.nn.Module):
    """Looks like `smplx.SMPL`: 45 joints come out, and translation is added to everything."""

    def __init__(self, path, data_struct, gender, num_betas):
        super().__init__()
        assert (gender, num_betas) == ("neutral", 10)
        assert data_struct.v_template.shape == (6890, 3)

    def forward(self, betas, global_orient, body_pose, transl):
        joints = torch.cat([global_orient, body_pose, torch.full((len(betas), 63), 9.0)], dim=1).reshape(-1, 45, 3)
        return SimpleNamespace(joints=joints + transl[:, None], vertices=betas[:, :1, None] + transl[:, None].expand(-1, 6890, 3))


def test_smplx_gets_the_parameters_where_they_belong(chumpy, model, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "smplx", SimpleNamespace(SMPL=FakeSmplx))
    write(tmp_path / "SMPL_NEUTRAL.pkl", as_released(model))
    pose, shape, trans = np.arange(144.0).reshape(2, 72), np.ones((2, 10)), np.array([[1.0, 2, 3], [4, 5, 6]])
    joints, vertices = load_body_model(tmp_path)(pose, shape, trans)
    np.testing.assert_array_equal(joints, pose.reshape(2, 24, 3) + trans[:, None])
    assert vertices.shape == (2, 6890, 3)
    np.testing.assert_array_equal(vertices[:, 5], trans + 1)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    marker = tmp_path / "marker"
    for name, data in pickles(marker).items():
        path = tmp_path / "model.pkl"
        path.write_bytes(data)
        with pytest.raises(DuaError, match=r"model\.pkl") as refused:
            read_smpl_arrays(path)
        assert "\n" not in str(refused.value), name
    assert not marker.exists()


def forged(matrix, **state):
    matrix = matrix.copy()
    matrix.__dict__.update(state)
    return matrix


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {"v_template": None}, "'v_template'"),
        (lambda m: {"v_template": m["v_template"][:100]}, r"\(100, 3\)"),
        (lambda m: {"weights": np.full((6890, 24), np.nan)}, "finite numbers"),
        (lambda m: {"shapedirs": m["shapedirs"][..., :9]}, "9 shapes, at least 10"),
        (lambda m: {"shapedirs": Select(a=Ch(x=np.zeros(3)), idxs=np.array([5]), preferred_shape=(1,))}, "out of bounds"),
        (
            lambda m: {"shapedirs": Select(a=Ch(x=np.zeros(3)), idxs=np.zeros(10**6, dtype=np.int8), preferred_shape=(10**6,))},
            "a selection of 1000000 out of 3",
        ),
        (lambda m: {"shapedirs": Ch(x=Ch(x=Ch(x=Ch(x=Ch(x=Ch(x=m["shapedirs"]))))))}, "an entry is a _Array"),
        (lambda m: {"weights": "lbs"}, "an entry is a str"),
        (lambda m: {"kintree_table": m["kintree_table"][:, ::-1]}, "comes before its parent"),
        (lambda m: {"J_regressor": forged(m["J_regressor"], _shape=(24, 10**12))}, "a sparse matrix has shape"),
        (lambda m: {"J_regressor": forged(m["J_regressor"], indices=np.full(24, 10**6, dtype=np.int32))}, "indices must be < 24"),
        (lambda m: {"J_regressor": forged(m["J_regressor"], indptr=np.full(6891, 10**6, dtype=np.int32))}, "ind"),
    ],
)  # fmt: skip
def test_what_is_no_smpl_model_is_refused(chumpy, model, tmp_path, change, message):
    path = write(tmp_path / "model.pkl", {name: entry for name, entry in (model | change(model)).items() if entry is not None})
    with pytest.raises(DuaError, match=rf"model\.pkl is no SMPL model.*{message}"):
        read_smpl_arrays(path)


def test_a_missing_package_or_model_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "smplx", None)
    with pytest.raises(DuaError, match="pip install smplx"):
        load_body_model(tmp_path)
    monkeypatch.setitem(sys.modules, "smplx", ModuleType("smplx"))
    with pytest.raises(DuaError, match=r"SMPL_NEUTRAL\.pkl does not exist"):
        load_body_model(tmp_path)
    (tmp_path / "model.pkl").write_bytes(b"")
    with pytest.raises(DuaError, match=r"model\.pkl is damaged or no pickle"):
        load_body_model(tmp_path / "model.pkl")


def test_a_joint_regressor_of_another_shape_is_refused(tmp_path):
    path = tmp_path / "regressor.npy"
    np.save(path, np.zeros((24, 6890)))
    with pytest.raises(DuaError, match=r"holds shape \(24, 6890\), finite numbers \(17, 6890\) were expected"):
        load_joint_regressor(path)
    np.save(path, np.ones((17, 6890), dtype=np.float32))
    assert load_joint_regressor(path).dtype == np.float64
