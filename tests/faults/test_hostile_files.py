"""Files that an enemy would send are refused in one clear line: no code runs, nothing is written, no memory is taken for them."""

import ast
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from common.files.tensors import load_tensors
from common.mocap.bvh_files import find_bvh
from common.rendering.page import page
from common.rendering.scene import Panel
from tests.conftest import ROOT
from tests.faults import hostile
from tests.faults.kinds import KINDS
from tests.faults.sandbox import Sandbox
from tests.rendering.test_renderer import CAMERAS, scene_of, waving


def refused(tmp_path: Path, kind: str, files: dict[str, bytes], words: str = "") -> None:
    """Each of `files` is refused by the loader of `kind`, and leaves nothing behind."""
    of = KINDS[kind]
    place = of.make(tmp_path)
    place.write_bytes(b"")
    before = {path for path in tmp_path.parent.rglob("*") if path.name != "h36m.zip"}
    with Sandbox(of.load, place.parent) as sandbox:
        for name, content in files.items():
            outcome = sandbox.load(place.name, content)
            assert outcome.kind == "refused", f"{kind}, {name}: {outcome.kind} {outcome.said or outcome.value}"
            assert "\n" not in outcome.said
            assert place.name in outcome.said or "h36m.zip" in outcome.said, f"{name}: {outcome.said}"
            assert words in outcome.said, f"{name}: {outcome.said}"
    assert {path for path in tmp_path.parent.rglob("*") if path.name != "h36m.zip"} == before


@pytest.mark.campaign
def test_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.files.pickles._Counted.left", 250_000)
    payloads = hostile.pickles(tmp_path / "marker")
    refused(tmp_path, "surreal npy", {name: hostile.npy(payload) for name, payload in payloads.items()})
    few = list(payloads.items())[:4]  # the same reader, behind another container
    zips = {name: hostile.zipped({"positions_3d.npy": hostile.npy(payload)}) for name, payload in few}
    refused(tmp_path, "h36m 3D npz", zips)


@pytest.mark.parametrize(
    ("kind", "member"),
    [("h36m 2D npz", "positions_2d.npy"), ("h36m.zip", "S1/MyPoses/3D_positions/Walking.h5"), ("detectron npz", "boxes.npy")],
)
def test_archives(tmp_path: Path, kind: str, member: str) -> None:
    refused(tmp_path, kind, hostile.archives(member))


def test_archives_of_bvh(tmp_path: Path) -> None:
    def load(path: Path) -> list[str]:
        return [source.read() for source in find_bvh([path])]

    with Sandbox(load, tmp_path) as sandbox:
        for name, content in hostile.archives("walk.bvh").items():
            outcome = sandbox.load("clips.zip", content)
            assert outcome.kind == "refused", f"{name}: {outcome.kind} {outcome.said}"
            assert "clips.zip" in outcome.said
    assert [path.name for path in tmp_path.iterdir()] == ["clips.zip"]


def test_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "honest").mkdir()
    honest = KINDS["checkpoint"].make(tmp_path / "honest")
    refused(tmp_path, "checkpoint", hostile.checkpoints(tmp_path / "marker", honest))


def test_checkpoints_of_the_time_before_zips(tmp_path: Path) -> None:
    (tmp_path / "honest").mkdir()
    honest = KINDS["published checkpoint"].make(tmp_path / "honest")
    refused(tmp_path, "published checkpoint", hostile.old_checkpoints(tmp_path / "marker", honest))
    # What is refused above is refused for what is wrong with it: the same file without it is read.
    place = tmp_path / "whole.pth.tar"
    place.write_bytes(hostile.before_zips(hostile.old_tensor((2, 2), (2, 1), 4), ["0"], np.arange(4, dtype="<f4").tobytes()))
    assert load_tensors(place).tolist() == [[0, 1], [2, 3]]


@pytest.mark.campaign
def test_hdf5(tmp_path: Path) -> None:
    KINDS["surreal h5, old"].make(tmp_path)
    files = hostile.h5_files(tmp_path)
    refused(tmp_path, "surreal h5, old", files)


@pytest.mark.campaign
def test_mat(tmp_path: Path) -> None:
    refused(tmp_path, "info mat", hostile.mats())
    cell = {name: content.replace(b"joints2D", b"data\0\0\0\0") for name, content in hostile.mats().items()}
    refused(tmp_path, "h36m mat", cell)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.endswith(" json")])
def test_json(tmp_path: Path, kind: str) -> None:
    refused(tmp_path, kind, hostile.jsons())


def test_keypoints_that_are_no_numbers(tmp_path: Path) -> None:
    refused(tmp_path, "mmpose json", {x: hostile.people(x) for x in ("9" * 400, "[1]", '{"x": 1}')})


def test_csv(tmp_path: Path) -> None:
    rows = {"a field of a megabyte": "x" * 2**20, "not a number": "1,2,nan", "a giant": "9" * 5000 + ",1,1"}
    refused(tmp_path, "log csv", {name: f"epoch,step,val_mpjpe_mm\n{row}\n".encode() for name, row in rows.items()})


@pytest.mark.campaign
def test_bvh(tmp_path: Path) -> None:
    refused(tmp_path, "bvh", hostile.bvhs())


# --- our own sources ----------------------------------------------------------------------------------------------------


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_no_source_reads_code_from_data() -> None:
    """`torch.load` only of weights, numpy's pickles not at all, Python's only of our own making; nothing is unpacked or evaluated.

    `benchmarks/reading.py` times our reader against numpy's own, on files that it has just written itself.
    """
    torch_loads = 0
    for path in [
        *ROOT.glob("*.py"),
        *(p for folder in ("common", "models", "data", "benchmarks") for p in (ROOT / folder).rglob("*.py")),
    ]:
        where = path.relative_to(ROOT).as_posix()
        if where == "benchmarks/reading.py":
            continue
        for name, call in calls(ast.parse(path.read_text(encoding="utf-8"))):
            options = {option.arg: option.value for option in call.keywords}
            if name == "torch.load":
                torch_loads += 1
                safe = options.get("weights_only")
                assert isinstance(safe, ast.Constant), where
                assert safe.value is True, where
            assert name not in ("eval", "exec", "np.load", "numpy.load", "os.system", "os.popen", "marshal.loads", "yaml.load"), (
                where
            )
            assert not name.startswith("pickle.load") or where == "common/files/apart.py", where
            assert name.rpartition(".")[2] not in ("extractall", "unpack_archive", "read_pickle"), where
            assert options.keys().isdisjoint(("allow_pickle", "shell")), where
    assert torch_loads == 1


# --- what we write ------------------------------------------------------------------------------------------------------


class Parsed(HTMLParser):
    """Tags with their attributes, and the text within each kind of tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>", "</script><script>alert(1)</script>", "</title><img src=x onerror=alert(1)>", "<!--", "]]>",
        '" onload="alert(1)', "' onload='alert(1)", "\u2028alert(1)\u2029", "&lt;b&gt; &amp;", "{{data}}{{title}}", "\\u003c/script\\u003e",
        "\x00\x1b[31m", "\udcff",
    ],
)  # fmt: skip
def test_a_page_shows_names_and_is_not_changed_by_them(name: str) -> None:
    def page_of(name: str) -> str:
        panel = Panel(name, scene_of(waving(2), CAMERAS[0]).panels[0].poses_3d, name)
        return page(scene_of(waving(2), CAMERAS[0], title=name, subtitle=name, panels=(panel,)), 2)

    text = page_of(name)
    plain, shown = Parsed(page_of("walk")), Parsed(text)
    assert shown.tags == plain.tags
    assert len([t for t in shown.texts if "use strict" in t]) == 1
    text.encode("ascii")


def test_zip_members_with_the_same_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, value in (("x.npy", 1.0), ("y.npy", 2.0)):
            archive.writestr(name, hostile.npy(np.float64(value).tobytes(), "<f8"))
    (tmp_path / "x.npz").write_bytes((tmp_path / "x.npz").read_bytes().replace(b"y.npy", b"x.npy"))
    refused(tmp_path, "h36m 2D npz", {"twice": (tmp_path / "x.npz").read_bytes()}, "is there twice")
