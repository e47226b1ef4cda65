"""BVH files are found in folders and archives, read with care, and named."""

import re
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DuaError
from common.mocap import bvh_files
from common.mocap.bvh_files import action_of, find_bvh
from common.mocap.bvh_parser import parse_bvh
from tests.helpers.bvh_text import SMALL


def test_folders_files_and_archives_are_searched(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/two.bvh", "a/b/one.BVH", "a/notes.txt", "a/._two.bvh", "three.bvh"):
        (tmp_path / name).write_text(SMALL)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        for name in ("deep/five.bvh", "four.bvh", "LICENSE", "__MACOSX/._four.bvh", "folder.bvh/"):
            archive.writestr(name, SMALL.replace("0.1", "0.2"))
    (tmp_path / "a" / "more.zip").write_bytes((tmp_path / "clips.zip").read_bytes())
    found = find_bvh([tmp_path / "a", tmp_path / "clips.zip", tmp_path / "three.bvh", str(tmp_path / "a" / "two.bvh")])
    assert [source.name for source in found] == ["five", "four", "one", "three", "two"]
    assert found == find_bvh([tmp_path / "three.bvh", tmp_path / "clips.zip", tmp_path / "a"])
    assert [parse_bvh(source.read(), str(source)).frame_time for source in found] == [0.2, 0.2, 0.1, 0.1, 0.1]
    assert str(found[0]) == f"{tmp_path / 'clips.zip'}:deep/five.bvh"


def test_files_of_one_name_keep_apart(tmp_path: Path) -> None:
    for name in ("a/walk.bvh", "b/walk.bvh", "c/a/walk.bvh", "c/run.bvh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(SMALL)
    with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
        archive.writestr("walk.bvh", SMALL)
    found = find_bvh([tmp_path, tmp_path / "clips.zip"])
    assert [source.name for source in found] == ["a_walk", "a_walk_2", "b_walk", "clips_walk", "run"]


def test_clips_of_one_folder_are_called_alike(tmp_path: Path) -> None:
    """Whether another folder holds a file of the same name does not matter."""
    for name in (
        "salsa/05.bvh",
        "salsa/25.bvh",
        "tango/05.bvh",
        "tango/turn1.bvh",
        "salsa/turn1.bvh",
        "salsa/spin.bvh",
        "7/05.bvh",
        "7/1 (2).bvh",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SMALL)
    with zipfile.ZipFile(tmp_path / "rumba.zip", "w") as archive:
        for name in ("05.bvh", "77.bvh", "samba/78.bvh", "07_01.bvh", "b/08_02.bvh", "c/08_02.bvh"):
            archive.writestr(name, SMALL)
    found = find_bvh([tmp_path, tmp_path / "rumba.zip"])
    assert {source.name: source.action for source in found} == {
        "salsa_05": "Salsa", "salsa_25": "Salsa", "salsa_turn1": "Turn", "spin": "Spin", "tango_05": "Tango", "tango_turn1": "Turn",
        "7_05": "05", "7_1 (2)": "1", "rumba_05": "Rumba", "rumba_77": "Rumba", "samba_78": "Samba", "07_01": "07", "b_08_02": "08",
        "c_08_02": "08",
    }  # fmt: skip


def test_the_folder_is_known_from_within_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "salsa").mkdir()
    (tmp_path / "salsa" / "25.bvh").write_text(SMALL)
    monkeypatch.chdir(tmp_path / "salsa")
    for path in (".", "25.bvh"):
        assert [(source.name, source.action) for source in find_bvh([path])] == [("salsa_25", "Salsa")]


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "broken.zip").write_text("PK")
    with pytest.raises(DuaError, match=r"no \.bvh file in .*zip archives"):
        find_bvh([tmp_path])
    with pytest.raises(DuaError, match="no \\.bvh file in no path"):
        find_bvh([])
    with pytest.raises(DuaError, match="nowhere does not exist"):
        find_bvh([tmp_path / "nowhere"])
    with pytest.raises(DuaError, match=r"notes\.txt is neither"):
        find_bvh([tmp_path / "notes.txt"])
    with pytest.raises(DuaError, match=r"broken\.zip is not a zip archive"):
        find_bvh([tmp_path / "broken.zip"])


@pytest.mark.parametrize("name", ["../../outside.bvh", "/etc/absolute.bvh"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "evil" / "clips.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, SMALL)
    with pytest.raises(DuaError, match=r"clips\.zip: its member .* leads out of the folder"):
        find_bvh([path])
    assert sorted(tmp_path.rglob("*")) == [path.parent, path]


def test_a_member_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.bvh", SMALL)
    honest = path.read_bytes()
    # The size that the archive's directory declares: 300 MiB.
    at = honest.index(b"PK\x01\x02") + 24
    path.write_bytes(honest[:at] + struct.pack("<I", 300 * 2**20) + honest[at + 4 :])
    with pytest.raises(DuaError, match=r"bomb\.zip says that its \d+ bytes unpack to 314572800"):
        find_bvh([path])[0].read()
    # And one that declares less than it holds is not read further than that.
    path.write_bytes(honest[:at] + struct.pack("<I", 10) + honest[at + 4 :])
    with pytest.raises(DuaError, match=r"cannot read .*bomb\.zip:clip\.bvh"):
        find_bvh([path])[0].read()
    path.write_bytes(honest)
    monkeypatch.setattr(bvh_files, "_MAX_BYTES", 100)
    with pytest.raises(DuaError, match="large"):
        find_bvh([path])[0].read()
    (tmp_path / "clip.bvh").write_text(SMALL)
    with pytest.raises(DuaError, match="large"):
        find_bvh([tmp_path / "clip.bvh"])[0].read()


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clips.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.bvh", SMALL)
    path.write_bytes(path.read_bytes().replace(b"Frame Time: 0.1", b"Frame Time: 0.7"))
    with pytest.raises(DuaError, match=r"cannot read .*clips\.zip:clip\.bvh: Bad CRC"):
        find_bvh([path])[0].read()


def test_a_byte_order_mark_and_foreign_letters_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "clip.bvh"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.replace("Head", "T\u00eate").encode("latin-1"))
    file = parse_bvh(find_bvh([path])[0].read(), "clip.bvh")
    assert file.joints[1].name.startswith("T")


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("dataset-1_walk-left_tired_001", "WalkLeft"),
        ("dataset-2_raise-up-both-hands_active_003", "RaiseUpBothHands"),
        ("bandai_dataset-1_bow_angry_001", "Bow"),  # two archives with one name: the folder's comes first
        ("walk1_subject5", "Walk"),
        ("fallAndGetUp2_subject2", "FallAndGetUp"),
        ("Aeroplane_FW", "Aeroplane"),
        ("ArmsAboveHead_TR3", "ArmsAboveHead"),
        ("Zombie_ID_2", "Zombie"),
        ("07_01", "07"),
        ("127_01_2", "127"),
        ("walk", "Walk"),
        ("Mma Kick (1)", "MmaKick"),
        ("WALK_FAST-03", "WalkFast"),
        ("T-pose", "TPose"),
        ("../up/and\\away", "UpAndAway"),
        ("\u00fcbung 3 b", "\u00dcbung"),
        ("01_jump_2_left", "Jump"),
        ("_FW", "Fw"),
        ("2024", "2024"),
        ("take", "Take"),
        ("--", "Clip"),
        ("dataset-1_--_tired_001", "Clip"),
        ("", "Clip"),
    ],
)
def test_a_clips_name_says_its_action(name: str, action: str) -> None:
    assert action_of(name) == action


@given(st.text(max_size=30))
def test_every_clip_has_an_action_that_can_be_a_key(name: str) -> None:
    assert re.fullmatch(r"[^\W_]+", action_of(name))
