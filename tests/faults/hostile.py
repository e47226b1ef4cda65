"""Files that an enemy would send: each a name of `tests.faults.kinds`, whose loader reads it, and its bytes."""

import io
import json
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from tests.faults.kinds import KINDS
from tests.helpers import bvh_text

GIGABYTES = 2**31
"""What the sandbox does not have."""
DEEP = 200_000
"""Tuples in tuples of which Python cannot make a key: hashing them overruns the stack."""
FLOOD = 300_000
"""Steps of a pickle; tests admit fewer, so that they need not wait for five million."""


class Call:
    """Pickles as a call, which an ordinary unpickler makes."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


# --- pickles: of .npy and .npz ------------------------------------------------------------------------------------------


def npy(payload: bytes, descr: str = "|O", shape: str = "()") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload


def pickles(marker: Path) -> dict[str, bytes]:
    boxed = np.empty((), dtype=object)
    inner = np.empty((), dtype=object)
    inner[()] = {"Walking": [Call(__import__("os").system, f"touch '{marker}'")]}
    boxed[()] = {"S1": inner}
    deep = b"N" + b"\x85" * DEEP  # None in a tuple in a tuple ...
    return {
        "a call in an array in a dictionary in an array": pickle.dumps(boxed, protocol=2),
        "builtins.eval": pickle.dumps(Call(eval, f"open({str(marker)!r}, 'w')"), protocol=4),
        "GLOBAL of a module": b"\x80\x02cwebbrowser\nopen\n.",
        "a deep tuple as a key": b"\x80\x02}" + deep + b"K\x01s.",
        "a deep tuple as a key of many": b"\x80\x02}(" + deep + b"K\x01u.",
        "a deep tuple as a key of DICT": b"\x80\x02(" + deep + b"K\x01d.",
        "a deep tuple in a set": b"\x80\x04\x8f(" + deep + b"\x90.",
        "a deep tuple in an OrderedDict": b"\x80\x02ccollections\nOrderedDict\n](" + deep + b"K\x01\x86e\x85R.",
        "lists in each other": b"\x80\x02" + b"]" * (DEEP // 10) + b"a" * (DEEP // 10 - 1) + b".",
        "a billion laughs": b"\x80\x02](K\x01K\x01K\x01K\x01e" + b"q\x00](h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00e" * 12 + b".",
        "a list of itself": b"\x80\x02]q\x00h\x00a.",
        "a number of a million bits": b"\x80\x02\x8b" + struct.pack("<i", 10**5) + b"\x7f" * 10**5 + b".",
        "a flood of BINPUT": b"\x80\x02K\x01" + b"q\x00" * FLOOD + b".",
        "a flood of dictionaries": b"\x80\x02" + b"}" * FLOOD + b".",
        "a text of terabytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**42) + b"x.",
        "text of gigabytes in a text": b"\x80\x02X" + struct.pack("<I", GIGABYTES) + b"x.",
    }


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, link: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o120777 if link else 0o100644) << 16
            archive.writestr(info, content, method)
    return buffer.getvalue()


@cache
def zeros(size: int) -> bytes:
    """Deflated, a thousandth of `size`."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * (size >> 24) + b"\x03\x00"


def bomb(name: str, size: int, declared: int) -> bytes:
    """A zip of one member of `size` zeros; its directory declares another size."""
    packed = zeros(size)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, 0, len(packed), declared, len(name), 0) + name.encode() + packed
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(packed), declared, len(name), 0, 0, 0, 0, 0, 0)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry) + len(name), len(local), 0)
    return local + entry + name.encode() + end


def archives(name: str) -> dict[str, bytes]:
    """By what is wrong with them, each with a member that its reader would read."""
    fine = npy(struct.pack("<d", 1), "<f8")
    return {
        "a name that leads up": zipped({f"../{name}": fine}),
        "a name that leads up with backslashes": zipped({f"a\\..\\..\\{name}": fine}),
        "an absolute name": zipped({f"/tmp/{name}": fine}),
        "a drive": zipped({f"C:/{name}": fine}),
        "a link": zipped({name: b"/etc/passwd"}, link=True),
        "LZMA": zipped({name: fine}, zipfile.ZIP_LZMA),
        "zeros without end": bomb(name, 2**29, GIGABYTES),
        "a size that lies": bomb(name, 2**29, 100),
        "a size of the whole address space": bomb(name, 2**24, 2**32 - 2),
    }


# --- checkpoints --------------------------------------------------------------------------------------------------------


def torch_zip(payload: bytes, storage: bytes = bytes(16), method: int = zipfile.ZIP_STORED) -> bytes:
    return zipped({"a/data.pkl": payload, "a/version": b"3\n", "a/byteorder": b"little", "a/data/0": storage}, method)


def tensor(shape: tuple[int, ...], stride: tuple[int, ...], storage: int, kind: bytes = b"FloatStorage") -> bytes:
    numbers = [b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in of) + b"t" for of in (shape, stride)]
    saved = (
        b"(X\x07\0\0\0storagectorch\n" + kind + b"\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu\x8a\x08" + struct.pack("<q", storage) + b"tQ"
    )
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + saved
        + b"K\x00"
        + numbers[0]
        + numbers[1]
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


BEFORE_ZIPS = b"".join(pickle.dumps(value, protocol=2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
"""How files of torch before 1.6 begin."""


def before_zips(payload: bytes, names: list[str], *storages: bytes) -> bytes:
    stored = b"".join(struct.pack("<q", len(storage) // 4) + storage for storage in storages)
    return BEFORE_ZIPS + payload + pickle.dumps(names, protocol=2) + stored


def old_tensor(shape: tuple[int, ...], stride: tuple[int, ...], storage: int, kind: bytes = b"FloatStorage") -> bytes:
    """As `tensor`, with what older files say of a storage's part."""
    return b"\x80\x02" + tensor(shape, stride, storage, kind).replace(b"tQ", b"NtQ", 1) + b"."


def old_checkpoints(marker: Path, honest: Path) -> dict[str, bytes]:
    """Of the time before zips, without check sums."""
    call = pickle.dumps({"x": Call(__import__("os").system, f"touch '{marker}'")}, protocol=2)
    good = honest.read_bytes()
    return {
        "a call": before_zips(call, []),
        "a call in the list of storages": BEFORE_ZIPS + b"\x80\x02}." + call,
        "a call in the header": good[:15] + call,
        "a storage of terabytes": before_zips(old_tensor((2**40,), (1,), 2**40), ["0"], bytes(16)),
        "a tensor larger than its storage": before_zips(old_tensor((2**20,), (1,), 4), ["0"], bytes(16)),
        "one number as a tensor of terabytes": before_zips(old_tensor((2**40,), (0,), 4), ["0"], bytes(16)),
        "a tensor beyond its storage": before_zips(old_tensor((2, 2), (9, 1), 4), ["0"], bytes(16)),
        "a storage that torch does not have": before_zips(old_tensor((4,), (1,), 4, b"load"), ["0"], bytes(16)),
        "a storage without numbers": before_zips(old_tensor((4,), (1,), 4), ["0"]),
        "a storage of another length": before_zips(old_tensor((4,), (1,), 4), ["0"], bytes(12)),
        "a storage that is not listed": before_zips(old_tensor((4,), (1,), 4), []),
        "cut": good[:-5],
        "something after it": good + b"x",
    }


def checkpoints(marker: Path, honest: Path) -> dict[str, bytes]:
    old = io.BytesIO()
    torch.save({"format": "dua checkpoint 1"}, old, _use_new_zipfile_serialization=False)
    content = torch.load(honest, weights_only=True)

    def described(**sizes: Any) -> bytes:
        buffer = io.BytesIO()
        lifter = {"lifter": content["networks"]["lifter"] | sizes}
        torch.save(content | {"networks": lifter}, buffer)
        return buffer.getvalue()

    found = {
        "a call": torch_zip(pickle.dumps({"x": Call(__import__("os").system, f"touch '{marker}'")}, protocol=2)),
        "a numpy array": torch_zip(pickle.dumps({"x": np.ones(3)}, protocol=2)),
        "a storage of terabytes": torch_zip(b"\x80\x02" + tensor((2**40,), (1,), 2**40) + b"."),
        "a tensor larger than its storage": torch_zip(b"\x80\x02" + tensor((2**20,), (1,), 4) + b"."),
        "one number as a tensor of terabytes": torch_zip(b"\x80\x02" + tensor((2**40,), (0,), 4) + b"."),
        "a storage that torch does not have": torch_zip(b"\x80\x02" + tensor((4,), (1,), 4, b"load") + b"."),
        "a deep tuple as a key": torch_zip(b"\x80\x02}N" + b"\x85" * DEEP + b"K\x01s."),
        "compressed": torch_zip(b"\x80\x02}.", method=zipfile.ZIP_DEFLATED),
        "of the time before zips": old.getvalue(),
        "a width of a billion": described(hid_dim=10**9),
        "a width of a million": described(hid_dim=10**6),
        "a billion layers": described(num_layers=10**9),
        "a billion joints": described(num_joints=10**9),
        "no such network": described(name="os.system"),
    }
    if sys.byteorder == "little":
        found["a flipped bit"] = flipped(honest)
    return found


def flipped(path: Path) -> bytes:
    """A checkpoint with one bit of one weight changed."""
    with zipfile.ZipFile(path) as archive:
        member = next(info for info in archive.infolist() if info.filename.endswith("data/0"))
        content = bytearray(path.read_bytes())
        names = struct.unpack_from("<2H", content, member.header_offset + 26)
    content[member.header_offset + 30 + sum(names) + 2] ^= 1
    return bytes(content)


# --- HDF5 ---------------------------------------------------------------------------------------------------------------


def h5(change: Callable[[h5py.File], None], folder: Path) -> bytes:
    """The prepared file of the tests, after `change`."""
    path = folder / "change.h5"
    path.write_bytes((folder / KINDS["surreal h5, old"].name).read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    return path.read_bytes()


def _replaced(create: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["joints_3d"]
        create(file)

    return change


def _plugin(file: h5py.File) -> None:
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_chunk((1, 24, 3))
    layout.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)  # Zstandard's plugin
    space = h5py.h5s.create_simple((51, 24, 3))
    h5py.h5d.create(file.id, b"joints_3d", h5py.h5t.IEEE_F32LE, space, layout)


def _large_chunk(file: h5py.File) -> None:
    shape = (51, 24, 3)
    data = file.create_dataset("joints_3d", shape, "f4", chunks=(10**7, 24, 3), maxshape=(None, 24, 3), compression="gzip")
    data.id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(2**20)))


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((51, 24, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "joints_3d", (51, 24, 3))
    file.create_virtual_dataset("joints_3d", layout)


def h5_files(folder: Path) -> dict[str, bytes]:
    rows = 10**12
    changes: dict[str, Callable[[h5py.File], None]] = {
        "a link to another file": _replaced(lambda f: f.__setitem__("joints_3d", h5py.ExternalLink("/etc/passwd", "/x"))),
        "a soft link": _replaced(lambda f: f.__setitem__("joints_3d", h5py.SoftLink("/joints_2d"))),
        "a virtual data set": _replaced(_virtual),
        "kept in /etc/passwd": _replaced(
            lambda f: f.create_dataset("joints_3d", (51, 24, 3), "f4", external=[("/etc/passwd", 0, 51 * 24 * 3 * 4)])
        ),
        "a plugin": _replaced(_plugin),
        "a million million rows": _replaced(lambda f: f.create_dataset("joints_3d", (rows, 24, 3), "f4", chunks=(1, 24, 3))),
        "a million million zeros, deflated": _replaced(
            lambda f: f.create_dataset("joints_3d", (rows, 24, 3), "f4", chunks=(1024, 24, 3), compression="gzip")
        ),
        "pieces of gigabytes": _replaced(_large_chunk),
    }  # fmt: skip
    return {name: h5(change, folder) for name, change in changes.items()}


# --- .mat ---------------------------------------------------------------------------------------------------------------


def mat(*elements: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(elements)


def element(kind: int, content: bytes, size: int | None = None) -> bytes:
    return struct.pack("<2I", kind, len(content) if size is None else size) + content + bytes(-len(content) % 8)


def matrix(content: bytes, kind: int = 6, shape: tuple[int, ...] = (1, 1), name: bytes = b"joints2D") -> bytes:
    flags, axes = element(6, struct.pack("<2I", kind, 0)), element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + axes + element(1, name) + content)


def mats() -> dict[str, bytes]:
    number = element(9, struct.pack("<d", 1))
    deep = matrix(number, name=b"")
    for _ in range(2000):  # each doubles nothing but the depth
        deep = matrix(deep, kind=1, name=b"")
    packer = zlib.compressobj()
    packed = packer.compress(matrix(number)[:64]) + packer.flush(zlib.Z_FULL_FLUSH) + zeros(2**29)
    return {
        "an element of gigabytes": mat(matrix(element(9, bytes(8), size=2**32 - 8))),
        "a variable of gigabytes": mat(element(14, bytes(64), size=2**32 - 8)),
        "a shape of terabytes": mat(matrix(number, shape=(2**20, 2**20))),
        "a shape that is negative": mat(matrix(number, shape=(-1, -1))),
        "an array of thirty axes": mat(matrix(number, shape=(2,) * 30)),
        "cells in cells": mat(matrix(deep, kind=1)),
        "a sparse matrix": mat(matrix(number, kind=5, shape=(2**30, 2**30))),
        "a structure": mat(matrix(number, kind=2)),
        "an object": mat(matrix(number, kind=3)),
        "numbers of an unknown type": mat(matrix(element(255, bytes(8)))),
        "a compressed bomb": mat(struct.pack("<2I", 15, len(packed)) + packed),
        "a variable twice": mat(matrix(number), matrix(number)),
    }


# --- texts --------------------------------------------------------------------------------------------------------------


def jsons() -> dict[str, bytes]:
    """Read by every loader of JSON."""
    return {
        "a hundred thousand lists": b"[" * 10**5 + b"]" * 10**5,
        "a hundred thousand objects": b'{"x":' * 10**5 + b"1" + b"}" * 10**5,
        "a number of a million digits": b'{"h36m": ' + b"9" * 10**6 + b"}",
        "NaN": b"NaN",
        "null": b"null",
        "text of no encoding": b'{"h36m": "\xff\xfe"}',
    }


def people(x: str) -> bytes:
    keypoints = [[x, 1]] * 17
    frames = [{"frame_id": 0, "instances": [{"keypoints": keypoints, "keypoint_scores": [0.9] * 17}]}]
    return json.dumps(frames).replace(f'"{x}"', x).encode()


def bvhs() -> dict[str, bytes]:
    joint = "JOINT J{i}\n{{\nOFFSET 0 0 0\nCHANNELS {channels}\n"
    six = "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"

    def chain(count: int, channels: str) -> str:
        return "".join(joint.format(i=i, channels=channels) for i in range(count)) + "}\n" * count

    def with_joints(count: int, channels: str) -> str:
        return bvh_text.SMALL.replace("  JOINT Head", chain(count, channels) + "  JOINT Head")

    head, _, _ = bvh_text.SMALL.partition("Frames:")
    many = f"{head}Frames: 5000\nFrame Time: 0.1\n" + "1 2 3 4 5 6 7 8 9\n" * 5000
    files = {
        "a million million frames": bvh_text.SMALL.replace("Frames: 2", "Frames: 1000000000000"),
        "a hundred million frames": bvh_text.SMALL.replace("Frames: 2", "Frames: 100000000"),
        "joints twenty thousand deep": with_joints(20_000, "0"),
        "many joints in many frames": many.replace("  JOINT Head", chain(5000, "0") + "  JOINT Head"),
        "many channels and many short lines": with_joints(9000, six).replace("Frames: 2", "Frames: 20000").replace(
            "1 2 3 4 5 6 7 8 9\n", "0\n" * 10_000
        ),
    }  # fmt: skip
    return {name: text.encode() for name, text in files.items()}
