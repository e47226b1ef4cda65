"""SMPL's own model and Human3.6M's joint regressor, the two files that turn SMPL's parameters into joints."""

import contextlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

from common.errors import DuaError, short_reason
from common.files.arrays import load_npy, load_pickle
from common.files.pickles import RestrictedUnpickler
from common.geometry.skeleton import H36M_32_TO_17, SMPL_JOINT_NAMES

BodyModel = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(B, 72) axis-angle radians, (B, 10) shape, (B, 3) metres -> (B, 24, 3) joints and (B, V, 3) vertices, world metres."""

NUM_BETAS = 10
"""Coefficients of SMPL's shape."""
_VERTICES = 6890
_FACES = 13776
_JOINTS = len(SMPL_JOINT_NAMES)
_SHAPES: dict[str, tuple[int | None, ...]] = {
    "v_template": (_VERTICES, 3),
    "shapedirs": (_VERTICES, 3, None),  # 10 in most releases, 300 in some
    "posedirs": (_VERTICES, 3, 9 * (_JOINTS - 1)),
    "J_regressor": (_JOINTS, _VERTICES),
    "weights": (_VERTICES, _JOINTS),
    "kintree_table": (2, _JOINTS),
    "f": (_FACES, 3),
}
_MOST_SELECTIONS = 4
"""Selections of selections of arrays; there is one in SMPL's files."""


def load_body_model(path: str | Path) -> BodyModel:
    """SMPL, posed by the package `smplx`.

    Args:
        path: SMPL's neutral model, a .pkl file, or the folder that holds `SMPL_NEUTRAL.pkl`.

    Raises:
        DuaError: the package or the file is missing, or the file is no SMPL model.
    """
    path = Path(path)
    try:
        import smplx  # here, because nothing else needs it
    except ImportError as error:
        raise DuaError("posing SMPL needs the package smplx: pip install smplx") from error
    file = path / "SMPL_NEUTRAL.pkl" if path.is_dir() else path
    arrays = read_smpl_arrays(file)
    with contextlib.redirect_stdout(sys.stderr):  # it prints a warning about models of ten coefficients, which suffice
        model = smplx.SMPL(str(file), data_struct=SimpleNamespace(**arrays), gender="neutral", num_betas=NUM_BETAS)

    def pose_bodies(pose: np.ndarray, shape: np.ndarray, trans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pose_t, shape_t, trans_t = (torch.from_numpy(values.astype(np.float32)) for values in (pose, shape, trans))
        with torch.no_grad():
            body = model(betas=shape_t, global_orient=pose_t[:, :3], body_pose=pose_t[:, 3:], transl=trans_t)
        # smplx appends points of the face, hands and feet to the 24 joints
        return body.joints[:, :_JOINTS].numpy(), body.vertices.numpy()

    return pose_bodies


def read_smpl_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of SMPL's .pkl that posing needs, by SMPL's names: float32, `kintree_table` and `f` int64.

    The file is a pickle of numpy, SciPy and chumpy objects of Python 2. Nothing that it names is imported, chumpy least of all,
    which Python 3.11 cannot: of such objects the state is kept, and what it says of numbers is computed here.

    Raises:
        DuaError: the file is missing, or no SMPL model.
    """
    model = load_pickle(path, _SmplUnpickler)
    try:
        arrays = {name: _checked(name, _array(model[name])) for name in _SHAPES}
        parents = arrays["kintree_table"][0, 1:]
        if (parents < 0).any() or (parents >= np.arange(1, _JOINTS)).any():
            raise ValueError("a joint of 'kintree_table' comes before its parent")
    except Exception as error:  # a pickle of anything may raise anything
        raise DuaError(
            f"{path} is no SMPL model ({short_reason(error)}); get SMPL's neutral model, a .pkl of its site"
        ) from error
    return arrays


class _Kept:
    """An object of a class that is not loaded: the state that the pickle gives it."""

    state: Any = None

    def __new__(cls, *_: Any) -> "_Kept":
        return super().__new__(cls)


class _Array(_Kept):
    """chumpy.ch.Ch: its numbers are `x`."""


class _Selection(_Kept):
    """chumpy.reordering.Select: some numbers of another, `a.ravel()[idxs].reshape(preferred_shape)`."""


class _Sparse(_Kept):
    """scipy.sparse.csc_matrix."""


def _reconstructed(cls: Any, *_: Any) -> _Kept:
    """How protocols 0 and 1 make an object before its state."""
    if not (isinstance(cls, type) and issubclass(cls, _Kept)):
        raise ValueError("an object of a class that no SMPL model has")
    return cls()


def _no_set(*_: Any) -> None:
    """chumpy's bookkeeping, which says nothing of the numbers."""


_ADMITTED: dict[tuple[str, str], Any] = {
    ("chumpy.ch", "Ch"): _Array,
    ("chumpy.reordering", "Select"): _Selection,
    ("scipy.sparse.csc", "csc_matrix"): _Sparse,
    ("scipy.sparse._csc", "csc_matrix"): _Sparse,
    ("copy_reg", "_reconstructor"): _reconstructed,
    ("__builtin__", "object"): None,  # only ever an argument of it
    ("__builtin__", "set"): _no_set,
}


class _SmplUnpickler(RestrictedUnpickler):
    """Admits chumpy's arrays and SciPy's sparse matrices, as `_Kept`."""

    dispatch: ClassVar[dict[int, Any]] = dict(RestrictedUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        python_2 = {"copyreg": "copy_reg", "builtins": "__builtin__"}.get(module, module)
        return _ADMITTED[python_2, name] if (python_2, name) in _ADMITTED else super().find_class(module, name)

    def load_build(self) -> None:
        if isinstance(self.stack[-2], _Kept):
            state = self.stack.pop()
            self.stack[-1].state = state
        else:
            super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _array(value: Any, depth: int = 0) -> np.ndarray:
    """The numbers of an entry."""
    if isinstance(value, np.ndarray):
        return value
    if depth > _MOST_SELECTIONS or not isinstance(value, _Kept):
        raise ValueError(f"an entry is a {type(value).__name__}")
    state = value.state
    if isinstance(value, _Array):
        return _array(state["x"], depth + 1)
    if isinstance(value, _Selection):
        source, places = _array(state["a"], depth + 1), _array(state["idxs"], depth + 1)
        if source.dtype.kind not in "fiu" or places.size > source.size:  # what comes out is no larger than what the file holds
            raise ValueError(f"a selection of {places.size} out of {source.size} numbers")
        return source.ravel()[places].reshape(state["preferred_shape"])
    if tuple(state["_shape"]) != _SHAPES["J_regressor"]:  # before so much memory is asked for
        raise ValueError(f"a sparse matrix has shape {tuple(state['_shape'])}")
    import scipy.sparse  # here, not above: scripts that do without it need not wait

    matrix = scipy.sparse.csc_matrix((state["data"], state["indices"], state["indptr"]), shape=_SHAPES["J_regressor"])
    matrix.check_format(full_check=True)  # SciPy itself would write wherever the indices point
    return matrix.toarray()


def _checked(name: str, array: np.ndarray) -> np.ndarray:
    wanted = _SHAPES[name]
    fits = len(wanted) == array.ndim and all(size in (None, found) for size, found in zip(wanted, array.shape, strict=True))
    if not fits or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(f"{name!r} of shape {array.shape}, finite numbers {wanted} were expected")
    if name == "shapedirs" and array.shape[-1] < NUM_BETAS:
        raise ValueError(f"{name!r} holds {array.shape[-1]} shapes, at least {NUM_BETAS} were expected")
    if name in ("kintree_table", "f"):
        return array.astype(np.int64)
    return array.astype(np.float32)


def load_joint_regressor(path: str | Path) -> np.ndarray:
    """(17, 6890): Human3.6M's joints as weighted sums of SMPL's vertices. Raises a `DuaError` if the file is no such array."""
    regressor = load_npy(path)
    if (
        not isinstance(regressor, np.ndarray)
        or regressor.shape != (len(H36M_32_TO_17), _VERTICES)
        or regressor.dtype.kind not in "fiu"
        or not np.isfinite(regressor).all()
    ):
        what = f"shape {regressor.shape}" if isinstance(regressor, np.ndarray) else f"a {type(regressor).__name__}"
        raise DuaError(f"{path} holds {what}, finite numbers (17, {_VERTICES}) were expected: the joint regressor of Human3.6M")
    return regressor.astype(np.float64)
