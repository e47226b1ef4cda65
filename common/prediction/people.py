"""Who of a video is predicted, where their files go, and what a user is told of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.detections.files import KeypointFile
from common.detections.tracks import Track
from common.errors import DuaError
from common.prediction.outputs import Clip

_FEWEST = 5
"""Frames that somebody must be seen in, of a video that anybody is seen in so long: detectors see people in curtains for two or three."""


def choose_person(tracks: Sequence[Track], person: int | None, file: KeypointFile) -> Track:
    """The track of the wanted person, or the longest; who else there is, is printed.

    Raises:
        DuaError: there is no such person, or nobody.
    """
    if not tracks:
        raise DuaError("nobody has a joint in any frame")
    if person is None:
        if len(tracks) > 1:
            taken = f"person {tracks[0].person} is taken, who is seen longest; --person N takes another, --all_people everybody"
            print(f"people: {_listed(tracks, file)}\n{taken}")
        return tracks[0]
    for track in tracks:
        if track.person == person:
            return track
    raise DuaError(f"there is no person {person}; there are: {_listed(tracks, file)}")


def choose_everybody(tracks: Sequence[Track], file: KeypointFile) -> tuple[list[Track], dict[int, str]]:
    """The tracks that are long enough, by the person's number, and {person: why} of the others; who there is, is printed.

    Raises:
        DuaError: there is nobody.
    """
    if not tracks:
        raise DuaError("nobody has a joint in any frame")
    print(f"people: {_listed(tracks, file)}")
    fewest = min(_FEWEST, len(tracks[0]))
    short = {track.person: f"seen in {len(track)} frames, {fewest} are needed" for track in tracks if len(track) < fewest}
    return sorted((track for track in tracks if track.person not in short), key=lambda track: track.person), short


def path_of(path: Path, person: int | None) -> Path:
    """'poses.npz' -> 'poses_person2.npz', the file of one of several people; None: of the only one."""
    return path if person is None else path.with_name(f"{path.stem}_person{person}{path.suffix}")


def report(track: Track, clip: Clip, step: int, name: str = "") -> None:
    """Print which frames the poses are of, how many joints were filled, and where the person is, if that is known.

    Args:
        step: of every how many frames of the video the detector told.
        name: what the lines begin with.
    """
    missing = clip.prediction.missing
    span = f"frames {clip.frames[0]} to {clip.frames[-1]}: the first and the last that this person is seen in"
    print(f"{name}{len(missing)} poses, {span}")
    if step > 1:
        rate = f"{clip.poses_per_second:.4g} poses a second of a video of {clip.fps:g} frames a second (--fps)"
        print(f"{name}the detector saw one frame in {step}: {rate}")
    if missing.any():
        gaps = len(missing) - len(track)
        print(
            f"{name}{missing.sum():,d} of {missing.size:,d} joints were not seen (the whole person in {gaps:,d} frames): "
            "they are filled, and marked as missing"
        )
    if clip.roots_3d is not None:
        away = np.linalg.norm(clip.roots_3d, axis=1)
        walked = float(np.linalg.norm(np.diff(clip.roots_3d, axis=0), axis=1).sum())
        print(f"{name}{away.min():.1f} to {away.max():.1f} m from the camera, a path of {walked:.1f} m")


def _listed(tracks: Sequence[Track], file: KeypointFile) -> str:
    ends = [file.in_video(np.array([track.first, track.last])) for track in tracks[:8]]
    listed = ", ".join(f"{track.person} ({len(track)} frames from {a} to {b})" for track, (a, b) in zip(tracks, ends))
    return listed + (f", ... ({len(tracks)} in all)" if len(tracks) > 8 else "")
