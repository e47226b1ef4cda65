"""Videos as pictures, by the ffmpeg that the `imageio-ffmpeg` wheel brings along: nothing has to be installed beside it.

Pictures are what a player shows: turned as the file's metadata say (phones write them lying), with square pixels, and so many a
second, always the same, whatever the camera did (phones slow down in the dark). So times follow from numbers of frames.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import imageio_ffmpeg
import numpy as np

from common.errors import DuaError, one_line
from common.files.arrays import require_file

_ENDINGS = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".wmv", ".3gp")

_SQUARE = "scale=iw*sar:ih,setsar=1"
_UNEVEN = 1.5
"""The longest time between two frames to the shortest: whole milliseconds alone make 5 to 4 of 240 frames a second."""
_WHOLE, _FEW = 0.9, 5
"""Share of the frames that a file says it has, and how many, that may be missing: sound is often longer."""


@dataclass(frozen=True)
class VideoFile:
    """What a video file holds.

    Attributes:
        size: (width, height) in pixels, as shown.
        rate: frames per second that `pictures` gives, the mean of a variable rate.
        frames: how many these are.
        promised: how many the file says.
        turned: degrees by which its metadata turn it.
        variable: whether its own frames come at a variable rate.
    """

    path: Path
    size: tuple[int, int]
    rate: Fraction
    frames: int
    promised: int
    turned: int
    variable: bool

    @property
    def fps(self) -> float:
        return float(self.rate)

    def notes(self) -> list[str]:
        """Lines for a person: what it is, and what was done about what it is not."""
        turned = f", turned by {self.turned} degrees as its metadata say" if self.turned else ""
        lines = [f"{self.path}: {self.size[0]} x {self.size[1]} pixels{turned}, {self.frames:,d} frames, {self.fps:.4g} a second"]
        if self.variable:
            lines.append(
                f"{self.path}: its frames come at a variable rate; frames are taken at a constant one, {self.fps:.4g} a second"
            )
        if self.frames < _WHOLE * self.promised and self.promised - self.frames > _FEW:
            lines.append(
                f"{self.path}: {self.frames:,d} of {self.promised:,d} frames can be decoded, it is cut or damaged; they are taken"
            )
        return lines


def is_video(path: str | Path) -> bool:
    """Whether the name is a video's."""
    return Path(path).suffix.lower() in _ENDINGS and not Path(path).is_dir()


def look_at(path: str | Path) -> VideoFile:
    """What a video file holds, found by decoding it once, which takes a fraction of what is ever done with its frames.

    Raises:
        DuaError: the file is missing or cannot be decoded.
    """
    path = Path(path)
    require_file(path)
    source, target = _report(path, f"vfrdet,{_SQUARE}")
    size = re.search(r"Stream #0:0.* Video: .*?[ ,](\d+)x(\d+)[ ,]", target)
    count, seconds = _decoded(target)
    if not size or not count:
        raise DuaError(f"{path} cannot be decoded as a video; give one that a player shows, such as an MP4")
    given = re.search(r"Video: .* ([\d.]+) fps", source)
    rate = _exact(float(given[1]) if given and float(given[1]) else count / seconds if seconds else 25.0)
    uneven = re.findall(r"VFR:[\d.]+ \(\d+/\d+\) min: (\d+) max: (\d+)", target)
    variable = bool(uneven) and int(uneven[-1][1]) > _UNEVEN * int(uneven[-1][0])
    if variable:
        count, _ = _decoded(_report(path, f"fps={rate}")[1])
    turned = re.search(r"rotation of (-?[\d.]+) degrees", source)
    promised = re.search(r"Duration: ([\d:.]+)", source)
    return VideoFile(
        path,
        (int(size[1]), int(size[2])),
        rate,
        count,
        round(_seconds(promised[1]) * rate) if promised else count,
        round(float(turned[1])) % 360 if turned else 0,
        variable,
    )


def pictures(video: VideoFile) -> Iterator[np.ndarray]:
    """(height, width, 3) uint8 RGB of each frame.

    Raises:
        DuaError: the file cannot be decoded any more.
    """
    width, height = video.size
    number = 0
    # A file, not a pipe, which would have to be emptied meanwhile.
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [
                *_ffmpeg(video.path, "-v", "error"),
                "-vf",
                f"fps={video.rate},{_SQUARE}",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
                "-",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        assert process.stdout is not None
        try:
            while len(picture := process.stdout.read(width * height * 3)) == width * height * 3:
                yield np.frombuffer(picture, np.uint8).reshape(height, width, 3)
                number += 1
            if process.wait() or picture:
                raise DuaError(f"{video.path} is damaged at frame {number} ({last_words(errors) or 'ffmpeg fails'}); get it anew")
        finally:
            process.stdout.close()
            process.kill()
            process.wait()


def last_words(errors: IO[bytes]) -> str:
    """The last line that a process wrote into a file, shortened."""
    errors.seek(0)
    lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return one_line(lines[-1].strip())[:200] if lines else ""


def _report(path: Path, filters: str) -> tuple[str, str]:
    """What ffmpeg says of the file, and of what it made of it.

    "Input #0 ... Duration: 00:00:03.34 ... Stream #0:0 ... Video: h264 ..., 1920x1080, 29.97 fps ... rotation of -90.00 degrees", then
    "Output #0 ... Stream #0:0 ... Video: ..., 1080x1920, ... frame=  100 fps= 67 ... time=00:00:03.30 ... VFR:0.4 (9/15) min: 40 max: 160".
    """
    command = [*_ffmpeg(path), "-vf", filters, "-f", "null", "-"]
    process = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    source, _, target = process.stderr.decode(errors="replace").replace("\r", "\n").partition("\nOutput #0")
    return source, "" if process.returncode else target


def _decoded(target: str) -> tuple[int, float]:
    """Frames, and seconds, of a report."""
    found = re.findall(r"^frame= *(\d+) .*time=(\S+)", target, re.MULTILINE)
    return (int(found[-1][0]), _seconds(found[-1][1])) if found else (0, 0.0)


def _ffmpeg(path: Path, *options: str) -> list[str]:
    # An absolute path: ffmpeg takes 'a:b.mp4' for a protocol and '-x.mp4' for an option. No protocol: a playlist names addresses.
    source = ["-protocol_whitelist", "file", "-i", str(path.resolve()), "-map", "0:v:0"]
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-hide_banner", *options, *source]


def _seconds(clock: str) -> float:
    """'00:01:02.5' as seconds; 0 for 'N/A'."""
    parts = clock.split(":")
    try:
        return sum(float(part) * 60**place for place, part in enumerate(reversed(parts)))
    except ValueError:
        return 0.0


def _exact(printed: float) -> Fraction:
    """What ffmpeg prints with two decimals: 29.97 is 30000/1001."""
    television = Fraction(round(printed * 1.001) * 1000, 1001)
    if printed != round(printed) and abs(float(television) - printed) < 0.006:
        return television
    return Fraction(printed).limit_denominator(1000)
