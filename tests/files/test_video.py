"""Videos as pictures: turned, stretched, uneven, cut, and what is none."""

from fractions import Fraction

import numpy as np
import pytest

from common.errors import DuaError
from common.files import video
from common.files.video import is_video, look_at, pictures
from tests.helpers.video_files import ffmpeg, film


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """Fifty frames at 25 a second in which a box goes two pixels to the right a frame."""
    return film(tmp_path_factory.mktemp("video") / "walk.mp4", [(2 * i, 20, 24, 60) for i in range(50)])


def left_edges(pictures_of):
    return [int(np.flatnonzero(picture[50, :, 0].astype(int) - picture[50, :, 1] > 100)[0]) for picture in pictures_of]


def test_pictures_are_the_frames(walk):
    found = look_at(walk)
    assert (found.size, found.rate, found.frames, found.promised) == ((160, 120), 25, 50, 50)
    assert (found.turned, found.variable) == (0, False)
    assert found.notes() == [f"{walk}: 160 x 120 pixels, 50 frames, 25 a second"]
    shown = list(pictures(found))
    assert {picture.shape for picture in shown} == {(120, 160, 3)}
    assert left_edges(shown) == pytest.approx([2 * i for i in range(50)], abs=1)


@pytest.mark.parametrize("rate", ["30000/1001", "24000/1001", "60000/1001", "240", "12.5"])
def test_rates_are_exact(walk, tmp_path, rate):
    ffmpeg("-r", rate, "-i", walk, tmp_path / "a.mp4")
    found = look_at(tmp_path / "a.mp4")
    assert found.rate == Fraction(rate)
    assert found.fps == pytest.approx(float(Fraction(rate)))
    assert sum(1 for _ in pictures(found)) == found.frames == 50


def test_a_phone_s_video_stands(tmp_path):
    """Its box is at the left of the upper edge, as it is shown; the file has it lying."""
    film(tmp_path / "lying.mp4", [(100, 0, 60, 20)] * 5)  # at the right of the upper edge
    ffmpeg("-display_rotation", 90, "-i", tmp_path / "lying.mp4", "-c", "copy", tmp_path / "phone.mp4")
    found = look_at(tmp_path / "phone.mp4")
    assert (found.size, found.turned) == ((120, 160), 90)
    assert "turned by 90 degrees" in found.notes()[0]
    (rows, columns) = np.nonzero(next(pictures(found)).astype(int) @ (1, -1, 0) > 100)
    # A quarter turn counterclockwise puts the right edge at the top.
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == pytest.approx((0, 19, 0, 59), abs=1)


def test_pixels_are_square(walk, tmp_path):
    ffmpeg("-i", walk, "-vf", "setsar=2", tmp_path / "a.mp4")
    found = look_at(tmp_path / "a.mp4")
    assert found.size == (320, 120)
    assert next(pictures(found)).shape == (120, 320, 3)


def test_an_uneven_rate_becomes_a_constant_one(walk, tmp_path):
    """Of frames 10 to 30 only every fifth was recorded: places follow from time nevertheless."""
    kept = "not(between(n,10,30))+not(mod(n,5))"
    ffmpeg("-i", walk, "-vf", f"select='{kept}'", "-fps_mode", "vfr", tmp_path / "a.mp4")
    found = look_at(tmp_path / "a.mp4")
    assert found.variable
    assert found.fps == pytest.approx(34 / 2, rel=0.02)
    assert "variable rate" in found.notes()[1]
    edges = left_edges(pictures(found))
    assert len(edges) == found.frames
    time = np.arange(len(edges)) / found.fps
    behind = 2 * 25 * time - edges  # pixels
    sparse = (time > 9 / 25) & (time < 31 / 25)
    assert np.abs(behind[~sparse]).max() <= 2 * 25 / found.fps / 2 + 2  # half a frame, and a pixel or two
    assert np.abs(behind[sparse]).max() <= 2 * 5 + 2  # what was recorded last


def test_a_cut_video_has_what_is_there(walk, tmp_path):
    ffmpeg("-i", walk, "-g", 5, tmp_path / "whole.mkv")
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    found = look_at(tmp_path / "cut.mkv")
    assert 5 < found.frames < 40
    assert f"{found.frames} of 50 frames can be decoded" in found.notes()[-1]
    assert sum(1 for _ in pictures(found)) == found.frames
    assert not any("can be decoded" in line for line in look_at(walk).notes())


def test_what_is_no_video(walk, tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine", "-t", 1, tmp_path / "sound.mp4")
    for name, content in {"text.mp4": b"hello\n" * 100, "empty.mp4": b"", "cut.mp4": walk.read_bytes()[:3000]}.items():
        (tmp_path / name).write_bytes(content)
    for name in ("text.mp4", "empty.mp4", "cut.mp4", "sound.mp4"):
        with pytest.raises(DuaError, match=f"{name} cannot be decoded as a video"):
            look_at(tmp_path / name)
    with pytest.raises(DuaError, match=r"no\.mp4 does not exist"):
        look_at(tmp_path / "no.mp4")


def test_a_playlist_opens_nothing(walk, tmp_path, monkeypatch):
    opened = []
    run = video.subprocess.run
    monkeypatch.setattr(video.subprocess, "run", lambda command, **rest: opened.append(command) or run(command, **rest))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(DuaError, match="cannot be decoded"):
        look_at(tmp_path / "list.mp4")
    assert opened[0][opened[0].index("-protocol_whitelist") + 1] == "file"


def test_odd_names(walk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-x.mp4", "a:b %d.mp4"):
        (tmp_path / name).write_bytes(walk.read_bytes())
        assert look_at(name).frames == 50


def test_a_video_that_changes_meanwhile(walk, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(walk.read_bytes())
    found = look_at(path)
    path.write_bytes(b"gone")
    with pytest.raises(DuaError, match=r"a\.mp4 is damaged at frame 0"):
        next(pictures(found))


def test_names_of_videos(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    assert [is_video(name) for name in ("a.MP4", "b.mov", "video.mp4.npz", "a.json", tmp_path / "folder.mp4")] == [
        True, True, False, False, False,
    ]  # fmt: skip
