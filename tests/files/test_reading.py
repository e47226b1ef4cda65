"""The reader of pickled numpy files: what must load, what must be refused, and that nothing else happens."""

import contextlib
import io
import json
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import hypothesis.extra.numpy as np_st
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import DuaError
from common.files.arrays import load_arrays, load_npy

ROOT = Path(__file__).resolve().parents[2]


def same(left, right) -> bool:
    """Equal in value, type and shape, all the way down; byte order aside, which numpy makes native in a pickle."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        native = left.dtype.newbyteorder("=")
        if native != right.dtype.newbyteorder("=") or left.shape != right.shape:
            return False
        if left.dtype.hasobject:
            return all(same(a, b) for a, b in zip(left.ravel(), right.ravel(), strict=True))
        return left.astype(native).tobytes() == right.astype(native).tobytes()
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return left == right


def field_object() -> dict:
    """What the field's files hold, and every kind of leaf that has been seen in one."""
    rng = np.random.default_rng(0)
    return {
        "S1": {
            "Walking 1": [rng.random((5, 17, 2)).astype("f4") for _ in range(4)],
            "Sitting": rng.random((3, 32, 3)),
            "transposed": rng.random((32, 3, 4)).transpose(2, 0, 1),
            "fortran": np.asfortranarray(rng.random((3, 2))),
            "big endian": np.arange(6, dtype=">i4").reshape(2, 3),
            "none": np.zeros((0, 17, 2)),
            "large": rng.random(30000),
        },
        "metadata": {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4, 5], [1, 2]], "fps": 50.0},
        "names": np.array(["Hip", "RHip"]),
        "bytes": np.array([b"ab", b"c"]),
        "mixed": np.array([{"a": np.ones(2)}, None, "x"], dtype=object),
        "numbers": (1, -(2**70), 2.5, True, None, b"raw", b"", np.float32(2.5), np.int64(-3), np.bool_(True), np.str_("é")),
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
    }


def as_object(value) -> np.ndarray:
    array = np.empty((), dtype=object)
    array[()] = value
    return array


def npy_bytes(payload: bytes, shape: str = "()", descr: str = "|O") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload


def write_npy(path: Path, payload: bytes, **header: str) -> Path:
    path.write_bytes(npy_bytes(payload, **header))
    return path


def name_opcode(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def value_opcodes(value) -> bytes:
    """The opcodes that push `value`, without the frame around them."""
    return pickle.dumps(value, protocol=3)[2:-1]


# --- what must load ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_plain_arrays(tmp_path, save):
    arrays = {
        "a": np.random.default_rng(0).random((4, 3, 2)).astype("f4"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big endian": np.arange(4, dtype=">f8"),
        "zero dim": np.array(3.5),
        "empty": np.zeros((0, 7)),
        "flags": np.array([True, False]),
        "text": np.array(["a", "ß"]),
        "no text": np.zeros(3, "U0"),
        "record": np.zeros(2, dtype=[("x", "f4"), ("y", "i2", (3,))]),
    }
    save(tmp_path / "x.npz", **arrays)
    loaded = load_arrays(tmp_path / "x.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert same(loaded[name], array), name
        assert loaded[name].dtype == array.dtype, name


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_objects(tmp_path, save):
    expected = field_object()
    save(tmp_path / "x.npz", positions_2d=as_object(expected), plain=np.arange(3))
    loaded = load_arrays(tmp_path / "x.npz")
    assert set(loaded) == {"positions_2d", "plain"}
    assert same(loaded["positions_2d"], expected)


def test_npy(tmp_path):
    np.save(tmp_path / "x.npy", as_object(field_object()))
    assert same(load_npy(tmp_path / "x.npy"), field_object())
    array = np.array([[1, "a"], [None, {}]], dtype=object)
    np.save(tmp_path / "x.npy", array)
    assert same(load_npy(tmp_path / "x.npy"), array)


def test_loaded_arrays_can_be_written_to(tmp_path):
    np.savez(tmp_path / "x.npz", plain=np.zeros(3), nested=as_object({"a": np.zeros(3), "b": np.zeros(5000)}))
    loaded = load_arrays(tmp_path / "x.npz")
    for array in (loaded["plain"], *loaded["nested"].values()):
        array[0] = 1
        assert array[0] == 1


def test_one_array_shared_by_two_clips(tmp_path):
    shared = np.arange(3, dtype=">f4")
    np.save(tmp_path / "x.npy", as_object({"a": shared, "b": [shared, np.arange(2, dtype=">f4")]}))
    loaded = load_npy(tmp_path / "x.npy")
    assert loaded["a"] is loaded["b"][0]
    np.testing.assert_array_equal(loaded["a"], [0, 1, 2])
    np.testing.assert_array_equal(loaded["b"][1], [0, 1])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    np_st.arrays(
        st.one_of(
            np_st.boolean_dtypes(),
            np_st.integer_dtypes(),
            np_st.unsigned_integer_dtypes(),
            np_st.floating_dtypes(),
            np_st.complex_number_dtypes(),
            np_st.unicode_string_dtypes(max_len=5),
            np_st.byte_string_dtypes(max_len=5),
        ),
        np_st.array_shapes(min_dims=0, min_side=0),
    )
)
def test_any_array_comes_back(tmp_path, array):
    np.savez(tmp_path / "x.npz", plain=array, nested=as_object([array, array.T]))
    loaded = load_arrays(tmp_path / "x.npz")
    assert same(loaded["plain"], array)
    assert loaded["plain"].dtype == array.dtype
    assert same(loaded["nested"], [array, array.T])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_pickles_of_numpy_1_and_2(tmp_path, protocol, module):
    expected = field_object()
    data = pickle.dumps(as_object(expected), protocol=protocol)
    if module == "numpy.core":
        data = as_numpy_1(data, protocol)
        assert b"numpy._core" not in data
    assert module.encode() in data
    assert same(load_npy(write_npy(tmp_path / "x.npy", data)), expected)


def as_numpy_1(data: bytes, protocol: int) -> bytes:
    """The same pickle with the module names that numpy 1 wrote."""
    if protocol < 4:
        return data.replace(b"cnumpy._core.", b"cnumpy.core.")
    # From protocol 4 on, names carry their length and stand in frames that carry theirs: frames may be left out.
    frames = [position for opcode, _, position in pickletools.genops(data) if opcode.name == "FRAME"]
    for position in reversed(frames):
        data = data[:position] + data[position + 9 :]
    for part in (b"multiarray", b"numeric"):
        new, old = b"numpy._core." + part, b"numpy.core." + part
        data = data.replace(bytes([0x8C, len(new)]) + new, bytes([0x8C, len(old)]) + old)
    return data


def test_pickle_of_python_2(tmp_path):
    # {'S1': array([1, 2], dtype='<f4')} as Python 2 and numpy 1.11 wrote it: bytes are strings, flags are integers.
    raw = np.array([1, -2], dtype="<f4").tobytes()
    assert max(raw) > 127
    array = (
        name_opcode("numpy.core.multiarray", "_reconstruct") + name_opcode("numpy", "ndarray") + b"K\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85" + name_opcode("numpy", "dtype") + b"U\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"I00\nU" + bytes([len(raw)]) + raw + b"tb"
    )
    loaded = load_npy(write_npy(tmp_path / "x.npy", b"\x80\x02}U\x02S1" + array + b"s."))
    assert same(loaded, {"S1": np.array([1, -2], dtype="<f4")})


# --- what must be refused ---------------------------------------------------------------------------------------------


class Call:
    """Pickles as a call, which an ordinary unpickler makes."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def touch(path) -> str:
    return f"open({str(path)!r}, 'w')"


HOSTILE = {
    "os.system": (lambda marker: Call(os.system, f"touch '{marker}'"), "posix.system"),
    "eval": (lambda marker: Call(eval, touch(marker)), "builtins.eval"),
    "exec": (lambda marker: Call(exec, touch(marker)), "builtins.exec"),
    "open": (lambda marker: Call(open, str(marker), "w"), "open"),
    "subprocess": (lambda marker: Call(subprocess.call, ["touch", str(marker)]), ".call'"),
    "array.tofile by getattr": (lambda marker: Call(getattr, np.ones(1), "tofile"), "builtins.getattr"),
    "numpy.load": (lambda marker: Call(np.load, str(marker)), "numpy.load"),
    "numpy.memmap": (lambda marker: Call(np.memmap, str(marker), "u1", "w+", 0, (1,)), "memmap"),
    "a class": (lambda marker: Path(marker), "pathlib"),
    "torch storage": (lambda marker: torch.ones(2), "torch"),
    "set": (lambda marker: Call(set, [1]), "builtins.set"),
}

NESTINGS = {
    "alone": lambda value: value,
    "in a dictionary": lambda value: {"S1": {"Walking": value}},
    "as a key": lambda value: {("S1", value): 1},
    "in an array in a dictionary": lambda value: {"S1": as_object([as_object([np.ones(2), value])])},
}


@pytest.mark.parametrize("nesting", NESTINGS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_forbidden_class_is_refused_and_not_run(tmp_path, kind, nesting):
    make, name = HOSTILE[kind]
    if kind == "os.system":
        name = f"{os.system.__module__}.system"  # posix or nt
    marker = tmp_path / "marker"
    value = NESTINGS[nesting](make(marker))
    for protocol in (2, 3, 4, 5):
        path = write_npy(tmp_path / "bad.npy", pickle.dumps(as_object(value), protocol=protocol))
        with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
            archive.writestr("fine.npy", npy_bytes(struct.pack("<d", 1), descr="<f8"))
            archive.write(path, "positions_2d.npy")
        for load, file in ((load_npy, path), (load_arrays, tmp_path / "bad.npz")):
            with pytest.raises(DuaError) as caught:
                load(file)
            assert not marker.exists()
            assert str(file) in str(caught.value)
            # Protocol 2 writes Python 2's name of the module.
            assert name.replace("builtins", "__builtin__" if protocol == 2 else "builtins") in str(caught.value)


@pytest.mark.parametrize("kind", ["os.system", "eval", "exec", "open", "subprocess"])
def test_the_payloads_above_do_run_in_numpy(tmp_path, kind):
    """Without this, the test above could pass with payloads that are duds."""
    marker = tmp_path / "marker"
    path = write_npy(tmp_path / "bad.npy", pickle.dumps(as_object([HOSTILE[kind][0](marker)]), protocol=4))
    np.load(path, allow_pickle=True)
    assert marker.exists()


@pytest.mark.parametrize("how", ["GLOBAL", "STACK_GLOBAL", "INST"])
def test_a_named_module_is_not_imported(tmp_path, monkeypatch, how):
    (tmp_path / "hostile_module.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\nclass DType: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    payload = {
        "GLOBAL": b"\x80\x03" + name_opcode("hostile_module", "DType") + b".",
        "STACK_GLOBAL": b"\x80\x04\x8c\x0ehostile_module\x8c\x05DType\x93.",
        "INST": b"(ihostile_module\nDType\n.",
    }[how]
    with pytest.raises(DuaError, match=r"hostile_module\.DType"):
        load_npy(write_npy(tmp_path / "x.npy", payload))
    assert not (tmp_path / "marker").exists()
    assert "hostile_module" not in sys.modules
    pickle.loads(payload)  # an ordinary unpickler does import it
    del sys.modules["hostile_module"]
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "ndarray.tofile"),
        ("numpy", "fromfile"),
        ("numpy.core.multiarray", "fromfile"),
        ("numpy._core.numeric", "load"),
        ("numpy.core", "multiarray"),
        ("numpy.corey", "_reconstruct"),
        ("numpy.dtypes", "Float64DType"),
        ("collections", "namedtuple"),
        ("_codecs", "decode"),
        ("codecs", "encode"),
        ("numpy._core._multiarray_umath", "scalar"),
    ],
)
def test_neighbours_of_admitted_names_are_refused(tmp_path, module, name):
    payload = b"\x80\x04" + b"".join(bytes([0x8C, len(word)]) + word.encode() for word in (module, name)) + b"\x93."
    with pytest.raises(DuaError, match=name):
        load_npy(write_npy(tmp_path / "x.npy", payload))


def test_a_name_with_terminal_codes_is_not_printed_raw(tmp_path):
    payload = b"\x80\x04\x8c\x06\x1b[2Jos\x8c\x06system\x93."
    with pytest.raises(DuaError) as caught:
        load_npy(write_npy(tmp_path / "x.npy", payload))
    assert "system" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_persistent_id_or_registered_extension_is_refused(tmp_path):
    for payload in (b"\x80\x03K\x01Q.", b"P1\n.", b"\x80\x03\x82\x01."):
        with pytest.raises(DuaError):
            load_npy(write_npy(tmp_path / "x.npy", payload))


def test_encode_runs_no_other_codec(tmp_path):
    call = name_opcode("_codecs", "encode") + value_opcodes(("a" * 100, "punycode")) + b"R."
    with pytest.raises(DuaError, match="punycode"):
        load_npy(write_npy(tmp_path / "x.npy", b"\x80\x03" + call))


@pytest.mark.parametrize("spec", ["V8", "f8,O", "(2,3)f8", "M8[s]", "object", "O8,O8", "T", "f8\n", "", "f" + "8" * 50])
def test_dtype_that_is_not_plain_is_refused(tmp_path, spec):
    payload = b"\x80\x03" + name_opcode("numpy", "dtype") + value_opcodes((spec, False, True)) + b"R."
    with pytest.raises(DuaError, match=r"numpy\.dtype"):
        load_npy(write_npy(tmp_path / "x.npy", payload))


def test_records_in_a_pickle_are_refused_by_name(tmp_path):
    np.save(tmp_path / "x.npy", as_object({"a": np.zeros(2, dtype=[("x", "f4"), ("y", "O")])}))
    with pytest.raises(DuaError, match=r"x\.npy holds 'numpy\.dtype V12'"):
        load_npy(tmp_path / "x.npy")


def test_shared_dtype_of_numpy_cannot_be_changed(tmp_path):
    dtype = b"\x80\x03" + name_opcode("numpy", "dtype") + value_opcodes("f8") + b"\x85R"
    write_npy(tmp_path / "x.npy", dtype + value_opcodes((3, ">", None, None, None, -1, -1, 0)) + b"b.")
    loaded = load_npy(tmp_path / "x.npy")
    assert np.dtype("f8").isnative
    assert not loaded.isnative


RECONSTRUCT = name_opcode("numpy.core.multiarray", "_reconstruct") + name_opcode("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
FLOATS = name_opcode("numpy", "dtype") + value_opcodes(("f8", False, True)) + b"R"
OBJECTS = name_opcode("numpy", "dtype") + value_opcodes(("O8", False, True)) + b"R"
DTYPE_WITH_OBJECT_OVER_BYTES = (
    name_opcode("numpy", "dtype")
    + value_opcodes(("V8", False, True))
    + b"R(K\x03X\x01\x00\x00\x00|NX\x01\x00\x00\x00a\x85}X\x01\x00\x00\x00a"
    + OBJECTS
    + b"K\x00\x86sK\x08K\x01K\x00tb"
)


FLOATS_WITH_FIELDS = FLOATS + b"(K\x03X\x01\x00\x00\x00|NX\x01\x00\x00\x00a\x85}K\x08K\x01K\x00tb"


def array_opcodes(shape: tuple, dtype: bytes, data) -> bytes:
    return b"(K\x01" + value_opcodes(shape) + dtype + b"\x89" + value_opcodes(data) + b"tb"


FORGED_ARRAYS = {
    "bytes read as pointers": RECONSTRUCT + array_opcodes((1,), DTYPE_WITH_OBJECT_OVER_BYTES, b"A" * 8),
    "pointers of objects from bytes": RECONSTRUCT + array_opcodes((8,), OBJECTS, b"A" * 8),
    "fields of a plain dtype": RECONSTRUCT + array_opcodes((1,), FLOATS_WITH_FIELDS, b"A" * 8),
    "size of a plain dtype": FLOATS
    + value_opcodes((3, "<", (np.int8, (9,)), None, None, 9, 1, 0)).replace(b"numpy", b"numpx")
    + b"b",
    "too few bytes": RECONSTRUCT + array_opcodes((3,), FLOATS, b"A" * 8),
    "too few objects": RECONSTRUCT + array_opcodes((3,), OBJECTS, [1]),
    "negative shape": RECONSTRUCT + array_opcodes((-1, -1), FLOATS, b"A" * 8),
    "overflowing shape": RECONSTRUCT + array_opcodes((2**32, 2**32), FLOATS, b""),
    "filled twice": RECONSTRUCT + array_opcodes((1,), FLOATS, b"A" * 8) + array_opcodes((1,), FLOATS, b"B" * 8),
    "state of a function": name_opcode("numpy._core.numeric", "_frombuffer") + value_opcodes((None, {"__doc__": "x"})) + b"b",
    "state of a dictionary": b"}" + value_opcodes({"clear": 1}) + b"b",
    "scalar of objects": name_opcode("numpy.core.multiarray", "scalar") + OBJECTS + b"C\x08AAAAAAAA\x86R",
    "scalar of too few bytes": name_opcode("numpy.core.multiarray", "scalar") + FLOATS + b"C\x01A\x86R",
    "array over an array": name_opcode("numpy._core.numeric", "_frombuffer")
    + b"("
    + RECONSTRUCT
    + FLOATS
    + b"K\x00\x85X\x01\0\0\0CtR",
}


@pytest.mark.parametrize("kind", FORGED_ARRAYS)
def test_forged_array_is_refused(tmp_path, kind):
    # In this process: a crash of the interpreter is a failure too.
    with pytest.raises(DuaError):
        load_npy(write_npy(tmp_path / "x.npy", b"\x80\x03" + FORGED_ARRAYS[kind] + b"."))


# --- what is damaged --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good_files(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("good")
    small = {"S1": {"Walking": [np.ones((2, 17, 2), "f4")]}, "m": field_object()["mixed"], "n": field_object()["numbers"]}
    np.savez(folder / "stored.npz", a=np.arange(9.0), o=as_object(small))
    np.savez_compressed(folder / "deflated.npz", a=np.arange(9.0), o=as_object(small))
    np.save(folder / "plain.npy", np.arange(9.0))
    np.save(folder / "object.npy", as_object(small))
    write_npy(folder / "old.npy", pickle.dumps(as_object(small), protocol=2))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def load_any(path: Path):
    return (load_arrays if path.suffix == ".npz" else load_npy)(path)


@pytest.mark.parametrize("name", ["stored.npz", "deflated.npz", "plain.npy", "object.npy", "old.npy"])
def test_truncated_file(tmp_path, good_files, name):
    data, path = good_files[name], tmp_path / name
    path.write_bytes(data)
    load_any(path)
    for length in sorted({*range(0, 20), *range(20, len(data), max(1, len(data) // 60)), len(data) - 1}):
        path.write_bytes(data[:length])
        with pytest.raises(DuaError) as caught:
            load_any(path)
        assert str(path) in str(caught.value)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["stored.npz", "deflated.npz", "plain.npy", "object.npy", "old.npy"]),
    edits=st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "cut", "insert"]), st.binary(min_size=1, max_size=8)
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_mutated_file_is_refused_or_read(tmp_path, good_files, name, edits):
    data = bytearray(good_files[name])
    for where, kind, piece in edits:
        start = int(where * len(data))
        data[start : start + (0 if kind == "insert" else len(piece))] = b"" if kind == "cut" else piece
    path = tmp_path / name
    path.write_bytes(data)
    with contextlib.suppress(DuaError):
        load_any(path)


OPCODES = [bytes([byte]) for byte in b"()}]N012tRbsuaeo\x81\x85\x86\x87\x88\x8f\x90\x91\x94"]
OPCODES += [b"K\x00", b"K\x03", b"h\x00", b"h\x01", b"q\x00", b"C\x01b", b"X\x01\0\0\0<", RECONSTRUCT, FLOATS, OBJECTS]
OPCODES += [name_opcode("collections", "OrderedDict"), name_opcode("numpy.core.multiarray", "scalar")]
OPCODES += [array_opcodes((1,), FLOATS, b"A" * 8), array_opcodes((2,), OBJECTS, [1, None])]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(OPCODES), max_size=30))
def test_random_programs_are_refused_or_read(tmp_path, program):
    path = write_npy(tmp_path / "x.npy", b"\x80\x04" + b"".join(program) + b".")
    with contextlib.suppress(DuaError):
        repr(load_npy(path))  # repr reads every array: a forged one would crash here


@pytest.mark.parametrize("name", ["stored.npz", "deflated.npz"])
def test_one_flipped_bit_in_the_data_is_noticed(tmp_path, good_files, name):
    data = bytearray(good_files[name])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = archive.getinfo("a.npy")
        end = member.header_offset + 30 + len("a.npy") + member.compress_size
    data[end - 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DuaError, match="damaged"):
        load_arrays(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY", b"<!DOCTYPE html><html>", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" * 50, b"\0" * 200]
)
def test_other_file(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    for load in (load_arrays, load_npy):
        with pytest.raises(DuaError, match="damaged or no") as caught:
            load(path, "make it so")
        assert str(path) in str(caught.value)
        assert "make it so" in str(caught.value)


def test_zip_with_something_else_in_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DuaError, match="damaged or no"):
        load_arrays(tmp_path / "x.npz")


@pytest.mark.parametrize("load", [load_arrays, load_npy])
def test_missing_file_names_the_command(tmp_path, load):
    with pytest.raises(DuaError, match=r"does not exist; make it with: python data/make\.py"):
        load(tmp_path / "x.npz", "python data/make.py")
    with pytest.raises(DuaError, match="check the path"):
        load(tmp_path / "x.npz")
    with pytest.raises(DuaError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(DuaError, match="does not exist"):
        load(tmp_path / ("x" * 5000))
    (tmp_path / "file").write_text("")
    with pytest.raises(DuaError, match="does not exist"):
        load(tmp_path / "file" / "x.npz")


# --- what asks for memory ---------------------------------------------------------------------------------------------


def lying_zip(declared: int, shape: str) -> bytes:
    """An .npz whose directory says that its member holds `declared` bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_bytes(b"\0" * 64, shape, "<f8"))
    data = bytearray(buffer.getvalue())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", declared)
    return bytes(data)


def zip_of(npy: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", npy)
    return buffer.getvalue()


HUNGRY = {
    "terabyte.npy": npy_bytes(b"\0" * 64, "(1099511627776,)", "<f8"),
    "terabyte.npz": zip_of(npy_bytes(b"\0" * 64, "(1099511627776,)", "<f8")),
    "gigabyte.npy": npy_bytes(b"\0" * 64, "(134217728,)", "<f8"),
    "product.npy": npy_bytes(b"\0" * 64, "(4294967296, 4294967296)", "<f8"),
    "negative.npy": npy_bytes(b"\0" * 64, "(-1,)", "<f8"),
    "negative.npz": zip_of(npy_bytes(b"\0" * 64, "(-2, -4)", "<f8")),
    "long text.npy": npy_bytes(b"\0" * 64, "()", "<U536870911"),
    "long header.npy": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{}",
    "lying directory.npz": lying_zip(2**32 - 2, "(268435456,)"),
    "ndarray.npy": npy_bytes(b"\x80\x03" + name_opcode("numpy", "ndarray") + value_opcodes((2**40,)) + b"\x85R."),
    "ndarray of objects.npy": npy_bytes(
        b"\x80\x03" + name_opcode("numpy", "ndarray") + value_opcodes((2**27,)) + OBJECTS + b"\x86R."
    ),
    "reconstruct.npy": npy_bytes(
        b"\x80\x03" + RECONSTRUCT.replace(b"K\x00\x85", value_opcodes((2**40,))) + array_opcodes((2**40,), FLOATS, b"") + b"."
    ),
    "state.npy": npy_bytes(b"\x80\x03" + RECONSTRUCT + array_opcodes((2**27,), FLOATS, b"") + b"."),
    "objects.npy": npy_bytes(b"\x80\x03" + RECONSTRUCT + array_opcodes((2**27,), OBJECTS, []) + b"."),
    "frombuffer.npy": npy_bytes(
        b"\x80\x03" + name_opcode("numpy._core.numeric", "_frombuffer")
        + b"(C\x00" + FLOATS + value_opcodes((2**27,)) + b"X\x01\0\0\0CtR."
    ),
    "dtype.npy": npy_bytes(b"\x80\x03" + name_opcode("numpy", "dtype") + value_opcodes(("U536870911", False, True)) + b"R."),
    "binbytes8.npy": npy_bytes(b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc."),
    "binunicode8.npy": npy_bytes(b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc."),
    "bytearray8.npy": npy_bytes(b"\x80\x05\x96" + struct.pack("<Q", 2**30) + b"abc."),
    "bytearray8 of a terabyte.npy": npy_bytes(b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc."),
    "frame.npy": npy_bytes(b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"K\x01(."),
    "long4.npy": npy_bytes(b"\x80\x03\x8b" + struct.pack("<i", 2**31 - 1) + b"abc."),
}  # fmt: skip
# A pickle may number its memo as it likes: these hold one plain value and must cost nothing.
SPARSE_MEMO = {
    "memo.npy": npy_bytes(b"\x80\x03K\x07r" + struct.pack("<I", 2**27) + b"."),
    "huge memo.npy": npy_bytes(b"\x80\x03K\x07r" + struct.pack("<I", 2**32 - 1) + b"."),
    "text memo.npy": npy_bytes(b"\x80\x03K\x07p99999999999\n."),
}

CHILD = """
import json, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
from common.errors import DuaError
from common.files.arrays import load_arrays, load_npy

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

results, before = {}, peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        results[path.name] = ["loaded", repr((load_arrays if path.suffix == ".npz" else load_npy)(path))[:40]]
    except DuaError as error:
        results[path.name] = ["refused", str(error)]
    results[path.name].append(peak() - before)
print(json.dumps(results))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the address space as Linux does")
def test_no_file_makes_us_ask_for_memory_that_it_does_not_fill(tmp_path):
    for name, data in {**HUNGRY, **SPARSE_MEMO}.items():
        (tmp_path / name).write_bytes(data)
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert child.returncode == 0, child.stderr
    results = json.loads(child.stdout)
    for name in HUNGRY:
        # A dtype of two gigabytes is only a description; every array of it is refused.
        assert results[name][0] == "refused" or name == "dtype.npy", (name, results[name])
    for name in SPARSE_MEMO:
        assert results[name][:2] == ["loaded", "7"], (name, results[name])
    grown = {name: megabytes for name, (_, _, megabytes) in results.items()}
    assert max(grown.values()) < 64, grown
