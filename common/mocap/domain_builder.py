"""Open motion, turned into two domains: the Human3.6M layout with its cameras, and SURREAL's with its own.

`data/prepare_data_demo.py` and `data/prepare_data_bvh.py` say which clips, `common.mocap.takes` how they are performed and filmed; this
module makes files of it. Both domains are drawn from one seed, each from a stream of its own.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.compute.processes import Processes, add_workers_argument
from common.datasets.surreal_file import path_surreal
from common.files.sets import written_together
from common.files.writing import write_text
from common.mocap.body import JOINT_TABLES, LABELS, BodyShape, draw_shape, pose_body
from common.mocap.demo import DATASET_FORMAT
from common.mocap.detector_errors import NOISE, write_detections
from common.mocap.domain_stream import GROUP, build_surreal_stream, check_disk
from common.mocap.motion import Motion
from common.mocap.takes import (
    FPS,
    LEAST_FRAMES,
    SURREAL_FACTS,
    SURREAL_SOURCE,
    Clips,
    Film,
    FilmPlan,
    TakePlan,
    film_take,
    plan_film,
    plan_takes,
)
from common.preparation.h36m_writer import Positions3D, write_ground_truth_2d, write_positions_3d, write_smpl_3d
from common.preparation.surreal_writer import SurrealWriter

# Who wore the markers in Human3.6M (Ionescu et al. 2014): the bodies of ours are of the same sex.
_SEX = {"S1": "female", "S5": "female", "S6": "male", "S7": "female", "S8": "male", "S9": "male", "S11": "male"}


def add_size_arguments(parser: argparse.ArgumentParser) -> None:
    """`--poses` and `--workers` of the scripts that build domains."""
    parser.add_argument(
        "--poses",
        type=int,
        help="make the SURREAL domain's training file so long: poses in surreal_train.h5, a pose a frame, those of validation clips "
        "included. Its clips are performed in turn, each time by another body, until it is full; the test file and the Human3.6M "
        "domain are as large as without (default: as many takes of each clip as the options above say)",
    )
    add_workers_argument(parser)
    parser.add_argument(
        "--detector_noise",
        type=float,
        default=NOISE,
        metavar="SHARE",
        help="errors of the detector whose 2D is written beside the true joints, as a share of COCO's annotators'; 0: its definition of "
        "joints alone (default: %(default)g)",
    )


def build_domains(
    motions: Mapping[str, Motion],
    h36m: Mapping[str, Clips],
    surreal: Clips,
    takes: int,
    surreal_takes: int,
    seed: int,
    out: str | Path,
    source: str,
    poses: int | None = None,
    workers: int = 1,
    noise: float = NOISE,
) -> dict:
    """Write both domains, the pairs between their skeletons, and `dataset.json`, into `out`.

    Args:
        motions: every clip by name, at `FPS`.
        h36m: {subject: its clips}.
        surreal: the clips of the SURREAL domain.
        takes: performances of each clip by each subject of the Human3.6M domain.
        surreal_takes: performances of each clip in the SURREAL domain, each by a body of its own.
        seed: the same seed gives the same files.
        source: where the motion comes from, for `dataset.json`.
        poses: of SURREAL's training file, validation included, where it is to be that large (`common.mocap.domain_stream`).
        workers: processes that build.
        noise: of the detector whose 2D stands beside the true joints (`common.mocap.detector_errors`).

    Returns:
        What `dataset.json` holds: bodies, cameras, joint offsets, and of every sequence its clips and its split.
    """
    if poses is not None:
        check_disk(poses, Path(out))
    with written_together(out) as folder, Processes(workers, motions, "posed bodies") as processes:
        h36m_description, written = _build_h36m(
            np.random.default_rng([seed, 0]), motions, h36m, takes, folder, seed, noise, processes
        )
        try:  # while the files of the first domain are packed
            surreal_description = (
                _build_surreal(np.random.default_rng([seed, 1]), motions, surreal, surreal_takes, folder, noise, processes)
                if poses is None
                else build_surreal_stream(motions, surreal, poses, surreal_takes, seed, folder, workers, noise)
            )
        finally:
            for answer in written:
                answer()
        description = {
            "format": DATASET_FORMAT,
            "source": source,
            "seed": seed,
            "joint_offsets_m": {
                definition: [[part, *offset] for part, offset in JOINT_TABLES[definition]] for definition in LABELS
            },
            "h36m": h36m_description,
            "surreal": surreal_description,
        }
        write_text(folder / "dataset.json", json.dumps(description, indent=1) + "\n")
    return description


def _build_h36m(
    rng: np.random.Generator,
    motions: Mapping[str, Motion],
    clips: Mapping[str, Clips],
    takes: int,
    out: Path,
    seed: int,
    noise: float,
    processes: Processes,
) -> tuple[dict, list[Callable[[], object]]]:
    """`data_3d_h36m.npz`, `data_3d_h36m_smpl.npz` (the same bodies' SMPL joints), `data_2d_h36m_gt.npz` and `..._detector.npz`: their
    entry of `dataset.json`, and what waits until they are written."""
    shapes = {subject: draw_shape(rng, _SEX[subject]) for subject in clips}
    positions_3d: Positions3D = {subject: {} for subject in shapes}
    positions_smpl: Positions3D = {subject: {} for subject in shapes}
    positions_coco: Positions3D = {subject: {} for subject in shapes}
    sequences = []
    plans = [(plan, subject, shapes[subject]) for subject in shapes for plan in plan_takes(rng, motions, clips[subject], takes)]
    bar = tqdm(processes.in_order(_pose, plans), desc="Human3.6M domain", total=len(plans), unit="take", disable=None)
    for (plan, subject, _), posed in zip(plans, bar, strict=True):
        if posed is None:
            continue
        joints, described = posed
        positions_3d[subject][plan.action] = joints["h36m"]
        positions_smpl[subject][plan.action] = joints["smpl"]
        positions_coco[subject][plan.action] = joints["coco"]
        sequences.append(described)
    written: list[Callable[[], object]] = [
        processes.submit(_write_gt, (out, positions_3d)),  # first: it checks that the cameras see what they are given
        processes.submit(_write_detector, (out, positions_coco, seed, noise)),
        processes.submit(_write_3d, (out, positions_3d)),
        processes.submit(_write_smpl, (out, positions_smpl)),
    ]
    bodies = {subject: shape.describe() for subject, shape in shapes.items()}
    facts = {"fps": FPS, "cameras": "Human3.6M's four, common/h36m_cameras.py", "bodies": bodies, "sequences": sequences}
    return facts, written


_Posed = tuple[dict[str, np.ndarray], dict]
"""{definition: joints} of a take's frames in Human3.6M's room, and what `dataset.json` says of it."""


def _pose(motions: Mapping[str, Motion], task: tuple[TakePlan, str, BodyShape]) -> _Posed | None:
    plan, subject, shape = task
    take = plan.perform(motions)
    joints = pose_body(take.motion, shape, take.heading, take.place, tuple(JOINT_TABLES))
    inside = _longest_stay(np.linalg.norm(joints["h36m"][:, 0, :2], axis=-1) < _ROOM)
    if inside.stop - inside.start < LEAST_FRAMES:
        return None
    kept = {name: points[inside] if name == "coco" else points[inside].astype(np.float32) for name, points in joints.items()}
    return kept, take.describe(subject) | {"frames": inside.stop - inside.start}


def _write_gt(_: Mapping[str, Motion], task: tuple[Path, Positions3D]) -> None:
    write_ground_truth_2d(*task)


def _write_3d(_: Mapping[str, Motion], task: tuple[Path, Positions3D]) -> None:
    write_positions_3d(*task)


def _write_smpl(_: Mapping[str, Motion], task: tuple[Path, Positions3D]) -> None:
    write_smpl_3d(*task)


def _write_detector(_: Mapping[str, Motion], task: tuple[Path, Positions3D, int, float]) -> None:
    write_detections(*task)


_ROOM = 1.7
"""Metres from the middle of the room that Human3.6M's four cameras see whole; recordings in the open run out of it."""


def _longest_stay(inside: np.ndarray) -> slice:
    """The longest run of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    if not len(edges):
        return slice(0, 0)
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return slice(int(starts[longest]), int(stops[longest]))


def _build_surreal(
    rng: np.random.Generator,
    motions: Mapping[str, Motion],
    clips: Clips,
    takes: int,
    out: Path,
    noise: float,
    processes: Processes,
) -> dict:
    """`surreal_train.h5` (validation clips included, `dataset.json` says which) and `surreal_test.h5`."""
    sequences = []
    performances = list(plan_takes(rng, motions, clips, takes))
    for file, splits in (("train", ("train", "validation")), ("test", ("test",))):
        plans = [(plan, plan_film(rng, plan.frames(motions)), noise) for plan in performances if plan.split in splits]
        groups = [plans[first : first + GROUP] for first in range(0, len(plans), GROUP)]
        with (
            closing(processes.in_order(_film, groups)) as results,
            SurrealWriter(path_surreal(out, file), source=SURREAL_SOURCE, detector=True) as writer,
            tqdm(desc=f"SURREAL domain, {file}", total=len(plans), unit="take", disable=None) as bar,
        ):
            for group, films in zip(groups, results, strict=True):
                for film in films:
                    writer.add(
                        f"{film.described['action']}/c{writer.clips:05d}", film.joints_2d, film.joints_3d, film.detector_2d
                    )
                    sequences.append(film.described)
                bar.update(len(group))
    return {"fps": FPS, "camera": SURREAL_FACTS, "sequences": sequences}


def _film(motions: Mapping[str, Motion], group: list[tuple[TakePlan, FilmPlan, float]]) -> list[Film]:
    """The films of takes, with numbers of 32 bits and all that `dataset.json` says of each."""
    films = []
    for plan, film_plan, noise in group:
        take = plan.perform(motions)
        for film in film_take(film_plan, take, noise):
            joints_2d, joints_3d, detector_2d = (
                values.astype(np.float32) for values in (film.joints_2d, film.joints_3d, film.detector_2d)
            )
            films.append(Film(joints_2d, joints_3d, detector_2d, take.describe("surreal") | film.described))
    return films


def summarise(description: dict) -> str:
    """Sizes of the two domains, for the terminal."""
    lines = []
    for domain, views in (("h36m", 4), ("surreal", 1)):
        for split in ("train", "validation", "test"):
            entries = [entry for entry in description[domain]["sequences"] if entry["split"] == split]
            frames, films = sum(entry["frames"] for entry in entries), sum(entry.get("films", 1) for entry in entries)
            lines.append(f"{domain:>8} {split:<10} {films:5d} sequences {frames:8,d} frames {views * frames:9,d} poses")
    return "\n".join(lines)
