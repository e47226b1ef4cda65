"""Every kind of file that the project reads, small, with its loader and what may come out of it."""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import torch

from common.datasets.clips import frame_rate
from common.datasets.h36m import load_h36m
from common.datasets.poses import read_splits
from common.datasets.surreal import load_surreal
from common.detections.files import read_keypoints
from common.detections.keypoints import to_our_joints
from common.detections.tracks import link_people
from common.errors import DuaError
from common.mocap.bvh_files import BvhSource
from common.mocap.bvh_parser import move_skeleton, parse_bvh
from common.plotting.finished_runs import read_log, read_run
from common.preparation.h5_archive import H5Archive
from common.preparation.h36m_sources import read_archive, read_cdf, read_mat
from common.preparation.smpl_fits import read_json
from common.preparation.surreal_sources import Problem, read_npy, read_pose2mesh
from common.preparation.surreal_tree import read_info
from common.preparation.surreal_writer import SurrealWriter
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from models import build
from tests.helpers import bvh_text, h36m_files, keypoint_text, published_files, surreal_files


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: the file's.
        make: writes it and what belongs to it into a folder; returns the path of the file that is to be damaged.
        load: reads it from its path, as the scripts do; what it returns can be compared.
        sums: whether the format keeps check sums: then what loads must be what was written.
    """

    name: str
    make: Callable[[Path], Path]
    load: Callable[[Path], Any]
    sums: bool


def _checkpoint(folder: Path) -> Path:
    description = {"name": "martinez", "num_joints": 16, "hid_dim": 6, "num_layers": 1, "dropout": 0.5}
    network = build(description)
    optimizer = torch.optim.Adam(network.parameters())
    sum(parameter.sum() for parameter in network.parameters()).backward()
    optimizer.step()
    run = {
        "experiment": "prob", "networks": {"lifter": description}, "weights": {"lifter": network.state_dict()},
        "skeleton": {"definition": "h36m"}, "source": "h36m", "target": None, "keypoints": "gt", "selection": "source validation",
        "calibration": None, "arguments": {"data_dir": "data"},
        "training": {"epoch": 1, "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()[:64]},
    }  # fmt: skip
    save_checkpoint(folder / "ckpt_last.pth.tar", run)
    return folder / "ckpt_last.pth.tar"


def _load_checkpoint(path: Path) -> Any:
    checkpoint = load_checkpoint(path)
    networks = rebuild_networks(checkpoint, path)
    return _arrays({**checkpoint, "built": {role: network.state_dict() for role, network in networks.items()}})


def _published(folder: Path) -> Path:
    return published_files.write(folder / "ckpt_linear.pth.tar", published_files.checkpoint(published_files.linear_model(6, 1)))


def _h36m(changed: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        h36m_files.write_both(folder, subjects=("S1",), actions=("Directions", "Walking"), frames=3)
        return folder / changed

    return make


def _load_h36m(path: Path) -> Any:
    poses = load_h36m(path.parent, subjects=("S1",))
    return poses.inputs_2d.numpy(), poses.targets_3d.numpy(), [sequence.action for sequence in poses.sequences]


def _surreal(folder: Path) -> Path:
    """By our writer."""
    with SurrealWriter(folder / "surreal_train.h5", "tests") as writer:
        for name, motion in surreal_files.CLIPS.items():
            joints_2d, joints_3d = surreal_files.camera_body(motion)
            writer.add(name, joints_2d[:4], joints_3d[:4])
    return folder / "surreal_train.h5"


def _load_surreal(path: Path) -> Any:
    poses = load_surreal(path.parent, "train")
    return poses.inputs_2d.numpy(), poses.targets_3d.numpy(), [(s.action, s.start, s.stop) for s in poses.sequences]


def _inner(folder: Path) -> Path:
    """A sequence of h36m.zip."""
    world = h36m_files.moving_body(3, 0)
    with h5py.File(folder / "Walking.h5", "w") as file:
        file["3D_positions"] = world.transpose(1, 2, 0).reshape(96, -1) * 1000
    return folder / "Walking.h5"


def _load_inner(path: Path) -> Any:
    _zip(path.with_name("h36m.zip"), path.read_bytes())
    return _load_zip(path.with_name("h36m.zip"))


def _archive(folder: Path) -> Path:
    _zip(folder / "h36m.zip", _inner(folder).read_bytes())
    return folder / "h36m.zip"


def _zip(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("h36m/S1/MyPoses/3D_positions/Walking.h5", content)


def _load_zip(path: Path) -> Any:
    with H5Archive(path) as archive:
        return read_archive(archive, allow_partial=True)


def _tree_file(folder: Path, name: str) -> Path:
    place = folder / "S1" / "MyPoseFeatures" / "D3_Positions"
    place.mkdir(parents=True, exist_ok=True)
    return place / name


def _h36m_mat(folder: Path) -> Path:
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = h36m_files.moving_body(3, 0).reshape(3, 96) * 1000
    path = _tree_file(folder, "Walking.cdf.mat")
    scipy.io.savemat(path, {"data": cell}, do_compression=True, appendmat=False)
    return path


def _cdf(folder: Path) -> Path:
    from cdflib.cdfwrite import CDF

    path = _tree_file(folder, "Walking.cdf")
    file = CDF(path)
    described = {"Variable": "Pose", "Data_Type": CDF.CDF_REAL4, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": [3, 96]}
    file.write_var(described, var_data=h36m_files.moving_body(3, 0).reshape(1, 3, 96) * 1000)
    file.close()
    return path


def _info(compress: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "01_01_c0001_info.mat"
        scipy.io.savemat(path, surreal_files.info(surreal_files.world_body(frames=3)), do_compression=compress)
        return path

    return make


def _info_73(folder: Path) -> Path:
    """As MATLAB 7.3 saves: HDF5 behind 512 bytes, which hold the name of the format."""
    path = folder / "01_01_c0001_info.mat"
    fields = surreal_files.info(surreal_files.world_body(frames=3))
    with h5py.File(path, "w", userblock_size=512) as file:
        for name in ("joints2D", "joints3D", "camLoc"):
            file[name] = np.asarray(fields[name]).T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    return path


def _load_info(path: Path) -> Any:
    clip = read_info(path.parent, 1, path)
    if isinstance(clip, Problem):
        if "MemoryError" in clip.reason:
            raise MemoryError(clip.reason)
        raise DuaError(str(clip))
    return clip.joints_2d, clip.joints_3d, clip.dropped


def _npy(folder: Path) -> Path:
    joints_2d, joints_3d = surreal_files.camera_body()
    content = {"2d_joints": joints_2d[:4].astype(np.float32), "3d_joints": joints_3d[:4].astype(np.float32)}
    np.save(folder / "train.npy", np.array(content, dtype=object))
    return folder / "train.npy"


def _load_clips(read: Callable[..., Any]) -> Callable[[Path], Any]:
    def load(path: Path) -> Any:
        found = list(read(path, 1).clips)
        return [str(clip) if isinstance(clip, Problem) else (clip.name, clip.joints_2d, clip.joints_3d) for clip in found]

    return load


def _pose2mesh(folder: Path) -> Path:
    _, joints_3d = surreal_files.camera_body()
    camera = {"focal": [600.0, 600.0], "princpt": [160.0, 120.0]}
    images = [
        {"id": i, "width": 320, "height": 240, "file_name": f"run0/a/a_c0001_{i:03}.jpg", "cam_param": camera} for i in range(3)
    ]
    annotations = [{"id": i, "image_id": i, "joint_cam": joints_3d[i].round(4).tolist()} for i in range(3)]
    (folder / "train.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder / "train.json"


def _dataset(folder: Path) -> Path:
    sequences = [{"subject": "S1", "action": action, "split": "train"} for action in ("Walk", "Kick")]
    (folder / "dataset.json").write_text(json.dumps({"format": "x", "h36m": {"fps": 50.0, "sequences": sequences}}))
    return folder / "dataset.json"


def _results(folder: Path) -> Path:
    results = {
        "source": "h36m", "target": None, "network": "martinez", "modules": [], "keypoints": "gt", "seed": 0, "selection": "x",
        "checkpoint": "a/ckpt_best.pth.tar", "test": "h36m", "poses": 9, "per_joint_mpjpe": {"Head": 50.0},
        "per_action": {"Walk": {"mpjpe": 50.0}}, "average": {"mpjpe": 50.0}, "uncertainty": None,
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "results.json"


def _log(folder: Path) -> Path:
    _results(folder)
    (folder / "log.csv").write_text("epoch,step,val_mpjpe_mm\n1,10,300.5\n2,20,200.25\n")
    return folder / "log.csv"


def _fits(folder: Path) -> Path:
    frames = {str(i): {"pose": [0.1] * 72, "shape": [0.0] * 10, "trans": [0.0, 1.0, 2.0]} for i in range(2)}
    path = folder / "Human36M_subject1_smpl_param.json"
    path.write_text(json.dumps({"14": {"1": frames}}))
    return path


_PEOPLE = {i: [np.random.default_rng(0).uniform(50, 150, (17, 2)).round(1) + i] for i in range(3)}


_EIGHTEEN = {i: [people[0].repeat(2, axis=0)[:18]] for i, people in _PEOPLE.items()}
_LANDMARKS = {i: [np.random.default_rng(0).uniform(50, 150, (33, 2)).round(1) + i] for i in range(3)}


def _plain(folder: Path) -> Path:
    np.save(folder / "people.npy", np.concatenate([people for people in _LANDMARKS.values()]))
    return folder / "people.npy"


def _text(name: str, content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def _detectron(folder: Path) -> Path:
    keypoint_text.detectron(folder / "people.npz", _PEOPLE, (640, 480))
    return folder / "people.npz"


def _load_keypoints(path: Path) -> Any:
    file = read_keypoints(path)
    tracks = link_people(file.detections, file.threshold)
    if not tracks:
        return None
    _, keypoints_2d, confidences = tracks[0].arrays()
    try:
        joints, missing = to_our_joints(keypoints_2d, file.skeleton, confidences, file.threshold)
    except DuaError as error:
        raise DuaError(f"{path}: {error}") from error  # as predict.py has it
    return joints, missing, file.image_size


def _load_bvh(path: Path) -> Any:
    file = parse_bvh(BvhSource(path.stem, path).read(), str(path))
    skeleton = move_skeleton(file, {"l_foot": len(file.joints) - 1, "r_foot": 0})
    return file.frames, file.frame_time, skeleton.places["l_foot"]


def _arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy()
    return {key: _arrays(of) for key, of in value.items()} if isinstance(value, dict) else value


KINDS = {
    "checkpoint": Kind("ckpt_last.pth.tar", _checkpoint, _load_checkpoint, True),
    "published checkpoint": Kind("ckpt_linear.pth.tar", _published, _load_checkpoint, False),
    "h36m 3D npz": Kind("data_3d_h36m.npz", _h36m("data_3d_h36m.npz"), _load_h36m, True),
    "h36m 2D npz": Kind("data_2d_h36m_gt.npz", _h36m("data_2d_h36m_gt.npz"), _load_h36m, True),
    "surreal h5": Kind("surreal_train.h5", _surreal, _load_surreal, True),
    "surreal h5, old": Kind("surreal_train.h5", surreal_files.write_prepared, _load_surreal, False),
    "h36m.zip": Kind("h36m.zip", _archive, _load_zip, True),
    "h5 in h36m.zip": Kind("Walking.h5", _inner, _load_inner, False),
    "h36m mat": Kind("Walking.cdf.mat", _h36m_mat, lambda path: read_mat(path.parents[3], True), True),
    "h36m cdf": Kind("Walking.cdf", _cdf, lambda path: read_cdf(path.parents[3], True), False),
    "info mat": Kind("01_01_c0001_info.mat", _info(True), _load_info, True),
    "info mat, plain": Kind("01_01_c0001_info.mat", _info(False), _load_info, False),
    "info mat 7.3": Kind("01_01_c0001_info.mat", _info_73, _load_info, False),
    "surreal npy": Kind("train.npy", _npy, _load_clips(read_npy), False),
    "pose2mesh json": Kind("train.json", _pose2mesh, _load_clips(read_pose2mesh), False),
    "dataset json": Kind(
        "dataset.json", _dataset, lambda path: (read_splits(path.parent, "h36m"), frame_rate(path.parent, "h36m")), False
    ),
    "results json": Kind("results.json", _results, read_run, False),
    "log csv": Kind("log.csv", _log, lambda path: read_log(read_run(path.parent)), False),
    "smpl json": Kind("Human36M_subject1_smpl_param.json", _fits, read_json, False),
    "mmpose json": Kind("people.json", _text("people.json", keypoint_text.mmpose(_PEOPLE)), _load_keypoints, False),
    "alphapose json": Kind("people.json", _text("people.json", keypoint_text.alphapose(_PEOPLE)), _load_keypoints, False),
    "ultralytics json": Kind("people.json", _text("people.json", keypoint_text.ultralytics(_PEOPLE)), _load_keypoints, False),
    "alphapose open json": Kind(
        "people.json", _text("people.json", keypoint_text.alphapose_by_image(_EIGHTEEN, "open")), _load_keypoints, False
    ),
    "coco json": Kind("people.json", _text("people.json", keypoint_text.coco_annotations(_PEOPLE, (640, 480))), _load_keypoints, False),
    "mediapipe json": Kind(
        "people.json", _text("people.json", keypoint_text.mediapipe(_LANDMARKS, "message")), _load_keypoints, False
    ),
    "mediapipe csv": Kind("people.csv", _text("people.csv", keypoint_text.mediapipe_csv(_LANDMARKS, "long")), _load_keypoints, False),
    "ultralytics csv": Kind("people.csv", _text("people.csv", keypoint_text.ultralytics_csv(_PEOPLE)), _load_keypoints, False),
    "ultralytics labels": Kind(
        "walk_1.txt", _text("walk_1.txt", keypoint_text.ultralytics_labels(_PEOPLE, (640, 480))[1]), _load_keypoints, False
    ),
    "keypoints npy": Kind("people.npy", _plain, _load_keypoints, False),
    "detectron npz": Kind("people.npz", _detectron, _load_keypoints, True),
    "bvh": Kind("walk.bvh", _text("walk.bvh", bvh_text.SMALL), _load_bvh, False),
}  # fmt: skip
