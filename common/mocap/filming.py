"""Any camera: what stands before a body, how it is turned, what it sees, and what a detector finds in that.

Two set-ups are known. 'h36m': Human3.6M's calibrated cameras, four to each training subject, and a person in the middle of their
room. 'any': a phone, a laboratory's camera, one on a ceiling; in pictures of any shape, with the person anywhere in them.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from common.compute.device import generator_of
from common.datasets.poses import Poses, Sequence
from common.datasets.views import assumed_focal, project, rotation_between, screen_lens
from common.geometry.camera import Camera
from common.geometry.h36m_cameras import CALIBRATED_SUBJECTS, h36m_cameras
from common.geometry.joint_orders import ORDERS, rule_matrix
from common.geometry.skeleton import ROOT
from common.mocap.detector_errors import NOISE, detected
from common.mocap.people import People

SETUPS = ("h36m", "any")
DEFINITIONS = ("h36m", "detector")
"""Of the 2D joints: the labels' own, or what becomes of a detector's by the rule of `common.geometry.joint_orders`."""

MOST_ROLL = 30.0
"""Degrees to either side: phones are held askew, laboratory cameras hang as their tripods do."""
_PITCH = (-15.0, 60.0)
"""Degrees that a camera looks down: one on the floor, one under a ceiling."""
_FIELD = (35.0, 90.0)
"""Degrees of view along the picture's longer side."""
_DISTANCE = (2.0, 9.0)
"""Metres to the hip; nearer is more frequent, as sizes in the picture go by its inverse."""
_ASPECTS = (9 / 16, 3 / 4, 1.0, 4 / 3, 16 / 9)
"""Height over width."""
_ANY_FOCAL = 1 / math.tan(math.radians(_FIELD[1]) / 2), _ASPECTS[-1] / math.tan(math.radians(_FIELD[0]) / 2)
_REACH = 0.95
"""Metres from the hip that have to be in the picture's shorter side, if the hip is in its middle."""
_ROOM = 1.0
"""Metres from the middle of Human3.6M's room."""


@dataclass(frozen=True)
class CameraDraw:
    """Cameras before bodies that stand at the origin of a world with z up.

    Shape:
        rotations (N, 3, 3) from the world's axes to the camera's; roots_3d (N, 3) metres, camera axes; intrinsics (N, 4) in screen
        coordinates (`common.datasets.views`); aspects (N) height over width of the pictures.
    """

    rotations: Tensor
    roots_3d: Tensor
    intrinsics: Tensor
    aspects: Tensor


def draw_cameras(heights: Tensor, generator: torch.Generator, setup: str = "any", most_roll: float = MOST_ROLL) -> CameraDraw:
    """A camera for each body, all before a heading of their own.

    Args:
        heights: (N) metres of the hip above the floor.
        setup: of `SETUPS`.
        most_roll: degrees, of 'any'.
    """
    if setup == "h36m":
        return _h36m(heights, generator)
    count = len(heights)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    aspects = torch.tensor(_ASPECTS)[torch.randint(len(_ASPECTS), (count,), generator=generator)]
    longer = aspects.clamp_min(1.0)  # half the longer side, in screen coordinates
    focal = longer / torch.tan(torch.deg2rad(uniform(*_FIELD)) / 2)
    halves = torch.stack([torch.ones(count), aspects], dim=1)
    depth = 1 / uniform(1 / _DISTANCE[1], 1 / _DISTANCE[0])
    depth = torch.maximum(depth, _REACH * focal / halves.amin(1))
    # Where the hip lies: so that half of the body on either side may hang over the border, but no more.
    room = (halves - 0.5 * _REACH * (focal / depth)[:, None]).clamp_min(0)
    places = room * (2 * torch.rand(count, 2, generator=generator) - 1)
    rotations = about(2, torch.deg2rad(uniform(-most_roll, most_roll))) @ about(0, torch.deg2rad(uniform(*_PITCH)))
    level = rotation_between(torch.tensor([[0.0, 0.0, 1.0]]), (0.0, -1.0, 0.0))
    heading = about(1, 2 * math.pi * torch.rand(count, generator=generator))
    roots = torch.cat([places / focal[:, None], torch.ones(count, 1)], dim=1) * depth[:, None]
    intrinsics = torch.cat([focal[:, None].expand(count, 2), torch.zeros(count, 2)], dim=1)
    return CameraDraw(rotations @ heading @ level, roots, intrinsics, aspects)


def _h36m(heights: Tensor, generator: torch.Generator) -> CameraDraw:
    count = len(heights)
    rotations, translations, intrinsics, aspects = _calibrated()
    chosen = torch.randint(len(rotations), (count,), generator=generator)
    radius = _ROOM * torch.sqrt(torch.rand(count, generator=generator))
    angle = 2 * math.pi * torch.rand(count, generator=generator)
    heading = 2 * math.pi * torch.rand(count, generator=generator)
    places = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle), heights.cpu()], dim=1)
    roots = torch.einsum("nij,nj->ni", rotations[chosen], places - translations[chosen])
    return CameraDraw(rotations[chosen] @ about(2, heading), roots, intrinsics[chosen], aspects[chosen])


@cache
def _calibrated() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """World-to-camera rotations, places, screen intrinsics and aspects of Human3.6M's cameras."""
    cameras = [camera for subject in CALIBRATED_SUBJECTS for camera in h36m_cameras(subject)]
    rotations = torch.stack([torch.from_numpy(camera.rotation().T.copy()).float() for camera in cameras])
    places = torch.tensor([camera.translation for camera in cameras])
    aspects = torch.tensor([camera.resolution[1] / camera.resolution[0] for camera in cameras])
    return rotations, places, torch.stack([screen_lens(camera) for camera in cameras]), aspects


def focal_span_of(setup: str) -> tuple[float, float]:
    """Least and largest focal length of the cameras that are drawn, in screen coordinates."""
    if setup == "any":
        return _ANY_FOCAL
    _, _, intrinsics, _ = _calibrated()
    return float(intrinsics[:, 0].min()), float(intrinsics[:, 0].max())


def about(axis: int, angle: Tensor) -> Tensor:
    """(N,) radians to (N, 3, 3) right-handed rotations about a coordinate axis."""
    first, second = ((1, 2), (2, 0), (0, 1))[axis]
    rotation = torch.eye(3).repeat(len(angle), 1, 1)
    rotation[:, first, first] = rotation[:, second, second] = torch.cos(angle)
    rotation[:, first, second] = -torch.sin(angle)
    rotation[:, second, first] = torch.sin(angle)
    return rotation


@cache
def detector_rule(device: torch.device) -> Tensor:
    """(16, 17): our joints of COCO's keypoints, as the prediction makes them."""
    return torch.from_numpy(rule_matrix(ORDERS["coco"])).float().to(device)


def seen_joints(
    joints_3d: Tensor,
    points_3d: Tensor,
    roots_3d: Tensor,
    intrinsics: Tensor,
    definition: str,
    noise: float,
    generator: torch.Generator,
) -> Tensor:
    """2D joints in screen coordinates, as they would be given to a network.

    Shape:
        joints_3d (S, T, 16, 3) and points_3d (S, T, 17, 3) metres from the hip, camera axes: the labels and COCO's keypoints of the
        same bodies; roots_3d (S, T, 3); intrinsics (S, 4) -> (S, T, 16, 2).
    """
    clips, frames = joints_3d.shape[:2]
    lens = intrinsics[:, None].expand(clips, frames, 4).reshape(-1, 4)

    def projected(points: Tensor) -> Tensor:
        return project(points.flatten(0, 1), roots_3d.flatten(0, 1), lens).unflatten(0, (clips, frames))

    if definition == "h36m":
        return projected(joints_3d)
    found, _ = detected(projected(points_3d), points_3d[..., 2], generator, noise)
    return detector_rule(found.device) @ found


_SEEN = 0.8
"""Of the joints that are in the picture, in frames that are kept."""
_PIXELS = 1000
"""Of a picture's longer side."""


def films(people: People, seed: int, noise: float = NOISE, lens_known: bool = True) -> Poses:
    """Each clip before a camera of its own, of any kind, that stands still, as a detector sees it; frames out of the picture are left out.

    Args:
        seed: the same seed, the same cameras and errors.
        noise: of the detector.
        lens_known: whether the sequences' cameras have the true focal length, or the assumed one.
    """
    inputs, targets, roots, sequences, start = [], [], [], [], 0
    for number, clip in enumerate(people.clips):
        generator = generator_of(seed * 1_000_003 + number)
        joints, points = people.joints_3d[clip.start : clip.stop], people.points_3d[clip.start : clip.stop]
        stands = joints[len(joints) // 2, ROOT]
        cameras = draw_cameras(stands[None, 2], generator)
        turned = cameras.rotations[0].T
        places = (joints - stands) @ turned + cameras.roots_3d[0]  # (T, 16, 3) camera axes
        hips = places[:, ROOT, None]
        poses, lens = places - hips, cameras.intrinsics
        found = (points - stands) @ turned + cameras.roots_3d[0] - hips
        seen = seen_joints(poses[None], found[None], hips[None, :, 0], lens, "detector", noise, generator)[0]
        aspect = float(cameras.aspects[0])
        inside = (seen.abs() < torch.tensor([1.0, aspect])).all(-1) & (places[..., 2] > 1.0)
        kept = inside.float().mean(-1) > _SEEN
        if not kept.any():
            continue
        focal = lens[:, 0] if lens_known else assumed_focal(cameras.aspects)
        camera = _camera(float(focal), aspect, turned, stands - turned @ cameras.roots_3d[0])
        stop = start + int(kept.sum())
        sequences.append(Sequence(clip.person, clip.action, f"any {number}", start, stop, camera.resolution, clip.split, camera))
        inputs.append(seen[kept])
        targets.append(poses[kept])
        roots.append(hips[kept, 0])
        start = stop
    return Poses(people.name, torch.cat(inputs), torch.cat(targets), tuple(sequences), torch.cat(roots))


def _camera(focal: float, aspect: float, turned: Tensor, place: Tensor) -> Camera:
    """`focal` in screen coordinates; `turned` (3, 3) from the camera's axes to the world's."""
    from scipy.spatial.transform import Rotation  # here, not above: scripts that do without it need not wait

    width = round(_PIXELS / max(1.0, aspect))
    height = round(width * aspect)
    pixels = focal * width / 2
    x, y, z, w = Rotation.from_matrix(turned.double().numpy()).as_quat().tolist()
    return Camera(
        "any",
        (width, height),
        (pixels, pixels),
        (width / 2, height / 2),
        orientation=(w, x, y, z),
        translation=tuple(place.tolist()),
    )
