"""A SURREAL domain of any size, made in a stream: what is in memory does not depend on how many poses are asked for.

Takes are numbered. Each draws from a generator of its own, seeded by (seed, file, number), so processes can make them apart, and
their number changes nothing. Takes come round by round: a round performs every clip once, in a new order, as
`common.mocap.takes.draw_take` varies it. All takes of a clip bear its action, as SURREAL's clips bear that of their motion, so
they stay on one side of a split and `dataset.json` has a line for each motion, not for each of 65,000 clips.
"""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.compute.processes import Processes
from common.datasets.surreal_file import path_surreal
from common.errors import DuaError
from common.geometry.skeleton import NUM_JOINTS, SMPL_JOINT_NAMES
from common.mocap.detector_errors import NOISE
from common.mocap.motion import Motion
from common.mocap.takes import FPS, SURREAL_FACTS, SURREAL_SOURCE, Clips, film_take, numbered, plan_film, plan_take
from common.preparation.surreal_writer import SurrealWriter

_BYTES = len(SMPL_JOINT_NAMES) * (2 + 3) * 4 + NUM_JOINTS * 2 * 4 + 4
"""Of a pose in the file: joints in 2D and 3D, a detector's, and the number of its clip."""
GROUP = 16
"""Takes that a process makes at once: about 2,000 poses, a megabyte."""


def check_disk(poses: int, out: Path) -> None:
    """Say what `--poses` needs on the disk.

    Raises:
        DuaError: `poses` is no number of poses, or the disk has less room.
    """
    if poses < 1:
        raise DuaError(f"--poses {poses}: at least 1 is needed")
    folder = next(parent for parent in (out.absolute(), *out.absolute().parents) if parent.exists())
    needed, free = poses * _BYTES / 1e9, shutil.disk_usage(folder).free / 1e9
    print(f"{path_surreal(out, 'train')} will take {needed:.2f} GB; {free:.1f} GB are free", flush=True)
    if free < needed * 1.05:
        raise DuaError(
            f"--poses {poses} needs {needed:.2f} GB in {out}, {free:.2f} GB are free; choose another --out or fewer poses"
        )


@dataclass(frozen=True)
class _Film:
    action: str
    split: str
    clips: tuple[str, ...]
    joints_2d: np.ndarray  # (T, 24, 2) float32 pixels
    joints_3d: np.ndarray  # (T, 24, 3) float32 metres
    detector_2d: np.ndarray  # (T, 16, 2) float32 pixels


@dataclass(frozen=True)
class _Studio:
    """What a process needs to make any take of a file.

    Attributes:
        splits: {split: its clips}.
        before: clips of the other file, whose actions are numbered first: an action is of one split alone.
        noise: of the detector.
        apart: whether takes of a clip have actions of their own, as in a test, where each is reported.
    """

    motions: Mapping[str, Motion]
    splits: Mapping[str, tuple[str, ...]]
    seed: tuple[int, int]
    before: tuple[str, ...] = ()
    apart: bool = False
    noise: float = NOISE

    def perform(self, take: int) -> list[_Film]:
        """The films of take `take`, counted from 0."""
        clips = [(name, split) for split, names in self.splits.items() for name in names]
        number, place = divmod(take, len(clips))
        name, split = clips[np.random.default_rng([*self.seed, number]).permutation(len(clips))[place]]
        action = self.motions[name].action
        alike = [other for other, _ in clips if self.motions[other].action == action]
        first = sum(self.motions[other].action == action for other in self.before)
        action = numbered(action, first + alike.index(name) + (number * len(alike) if self.apart else 0))
        rng = np.random.default_rng([*self.seed, number, place])
        made = plan_take(rng, name, self.splits[split], number, action, split).perform(self.motions)
        plan = plan_film(rng, len(made.motion))
        return [
            _Film(
                action,
                split,
                made.motion.clips,
                *(joints.astype(np.float32) for joints in (film.joints_2d, film.joints_3d, film.detector_2d)),
            )
            for film in film_take(plan, made, self.noise)
        ]


def build_surreal_stream(
    motions: Mapping[str, Motion],
    clips: Clips,
    poses: int,
    test_takes: int,
    seed: int,
    out: Path,
    workers: int,
    noise: float = NOISE,
) -> dict:
    """Write `surreal_train.h5`, `poses` long, and `surreal_test.h5`, `test_takes` performances of each of its clips.

    Returns:
        The entry 'surreal' of `dataset.json`: for each action, from which clips, how many films and frames.

    Raises:
        DuaError: `poses` are too few for a clip of each split, or a process died.
    """
    learnt = {split: names for split, names in clips.splits().items() if split != "test"}
    train = _Studio(motions, learnt, (seed, 3), noise=noise)
    test = _Studio(motions, {"test": clips.test}, (seed, 4), before=sum(learnt.values(), ()), apart=True, noise=noise)
    entries = _write(train, workers, count(), out, "train", poses)
    entries += _write(test, workers, range(test_takes * len(clips.test)), out, "test")
    how = f"--poses {poses}: an entry sums up an action's films; bodies and distances are drawn anew for each"
    return {"fps": FPS, "camera": SURREAL_FACTS, "drawn": how, "sequences": entries}


def _write(studio: _Studio, workers: int, takes: Iterable[int], out: Path, file: str, poses: int | None = None) -> list[dict]:
    """One file; the last film is cut where `poses` are full. Returns {"subject", "action", "split", ...} of each action."""
    entries: dict[str, dict] = {}
    takes = iter(takes)
    groups = iter(lambda: list(islice(takes, GROUP)), [])
    # The processes start with the first result, before HDF5's file is open: they must not inherit it.
    with Processes(workers, studio, "made poses") as processes, closing(processes.in_order(_perform, groups)) as results:
        first = next(results)
        with (
            SurrealWriter(path_surreal(out, file), SURREAL_SOURCE, hold=True, detector=True) as writer,
            tqdm(desc=f"SURREAL domain, {file}", total=poses, unit="pose", unit_scale=True, disable=None) as bar,
        ):
            for films in chain([first], results):
                for film in films:
                    frames = len(film.joints_2d) if poses is None else min(len(film.joints_2d), poses - writer.frames)
                    if not frames:
                        break
                    parts = (joints[:frames] for joints in (film.joints_2d, film.joints_3d, film.detector_2d))
                    writer.add(f"{film.action}/c{writer.clips:07d}", *parts)
                    _count(entries, film, frames)
                    bar.update(frames)
                if writer.frames == poses:
                    break
            missing = [split for split in studio.splits if split not in {entry["split"] for entry in entries.values()}]
            if missing:  # raised here, where the file is given up
                raise DuaError(f"--poses {poses} are too few: no clip of the {missing[0]} split is among them; ask for more")
    return list(entries.values())


def _count(entries: dict[str, dict], film: _Film, frames: int) -> None:
    new = {"subject": "surreal", "action": film.action, "split": film.split, "clips": [], "frames": 0, "films": 0}
    entry = entries.setdefault(film.action, new)
    entry["clips"] += [clip for clip in film.clips if clip not in entry["clips"]]
    entry["frames"] += frames
    entry["films"] += 1


def _perform(studio: _Studio, takes: list[int]) -> list[_Film]:
    return [film for take in takes for film in studio.perform(take)]
