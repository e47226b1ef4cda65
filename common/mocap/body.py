"""A human body to pose: where each data set sees its joints, how bodies differ, and forward kinematics.

The reference body is 1.70 m tall. All offsets are metres in the frame of a body part: x forward, y up, z to the
person's right, standing upright with hanging arms; a left part has z reversed. Human3.6M and SMPL put their joints at
different points of the same body, so their misalignment turns with the parts, as it does in the real data sets.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from common.geometry.camera import quaternion_to_matrix
from common.geometry.skeleton import SMPL_JOINT_NAMES
from common.mocap.motion import PART_PARENTS, PARTS, Motion

REFERENCE_STATURE = 1.70

# Where each part turns, in its parent's frame. From the rest-pose joints of SMPL's mean shape (Loper et al. 2015), as
# simulators' public SMPL humanoid descriptions print them (rounded to the millimetre, left and right averaged), with
# the legs and arms hung straight down. The three spine joints of SMPL bend together; one pivot stands for them, between
# spine1 (0.109 above the pelvis) and spine2 (0.244).
_PIVOTS = {
    "chest": (-0.020, 0.130, 0.000),
    "head": (-0.023, 0.381, 0.000),  # SMPL's neck
    "thigh": (-0.007, -0.091, 0.070),
    "shin": (0.000, -0.377, 0.000),
    "foot": (0.000, -0.401, 0.000),
    "upper_arm": (-0.023, 0.319, 0.170),
    "forearm": (0.000, -0.262, 0.000),
}

# SMPL's 24 joints are its rotation centres: the same source, in the frames of our parts. Names without l_ or r_.
_SMPL_JOINTS = {
    "pelvis": ("pelvis", (0.000, 0.000, 0.000)),
    "hip": ("thigh", (0.000, 0.000, 0.000)),
    "spine1": ("pelvis", (-0.027, 0.109, 0.000)),
    "knee": ("shin", (0.000, 0.000, 0.000)),
    "spine2": ("chest", (-0.006, 0.114, 0.000)),
    "ankle": ("foot", (0.000, 0.000, 0.000)),
    "spine3": ("chest", (0.020, 0.167, 0.000)),
    "foot": ("foot", (0.119, -0.056, 0.000)),
    "neck": ("head", (0.000, 0.000, 0.000)),
    "collar": ("chest", (-0.014, 0.289, 0.079)),
    "head": ("head", (0.051, 0.065, 0.000)),  # the skull's base
    "shoulder": ("upper_arm", (0.000, 0.000, 0.000)),
    "elbow": ("forearm", (0.000, 0.000, 0.000)),
    "wrist": ("forearm", (0.000, -0.249, 0.000)),
    "hand": ("forearm", (0.000, -0.333, 0.000)),
}

# Human3.6M's 32 recorded joints. Lengths follow the offsets of its subject S1 that come with "On human motion
# prediction using recurrent neural networks" (Martinez, Black, Romero, CVPR 2017): hip half-width 133 mm, femur 443,
# tibia 454, hip to spine 233, spine to thorax 257, thorax to neck 121, neck to head 115, thorax to shoulder 151, upper
# arm 279, forearm 252. They are scaled by 0.92 to 0.99 so that a standing reference body keeps its levels: ankle 66 mm
# above the floor, knee 487, hip 899, spine 1130, thorax 1385, head 1616. Repeated joints (11, 16, 20, 24, ...) repeat
# in the recordings as well.
_H36M_JOINTS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("pelvis", (-0.005, -0.046, 0.000)),  # 0 Hip: midway between the hips, 45 mm above SMPL's hip joints
    ("r_thigh_of_pelvis", (-0.005, -0.046, 0.122)),  # 1 RHip: 52 mm further out than SMPL's
    ("r_thigh", (0.000, -0.366, 0.000)),  # 2 RKnee: 11 mm above the knee's axis
    ("r_foot", (0.000, -0.010, 0.000)),  # 3 RFoot: the ankle
    ("r_foot", (0.140, -0.050, 0.000)),  # 4 toe base
    ("r_foot", (0.205, -0.060, 0.000)),  # 5 toe tip
    ("l_thigh_of_pelvis", (-0.005, -0.046, 0.122)),  # 6 LHip
    ("l_thigh", (0.000, -0.366, 0.000)),  # 7 LKnee
    ("l_foot", (0.000, -0.010, 0.000)),  # 8 LFoot
    ("l_foot", (0.140, -0.050, 0.000)),  # 9
    ("l_foot", (0.205, -0.060, 0.000)),  # 10
    ("pelvis", (-0.005, -0.046, 0.000)),  # 11 repeats 0
    ("chest", (0.000, 0.055, 0.000)),  # 12 Spine: 112 mm below SMPL's spine3
    ("chest", (-0.010, 0.310, 0.000)),  # 13 Thorax: 71 mm below SMPL's neck
    ("head", (0.075, 0.045, 0.000)),  # 14 Neck/Nose
    ("head", (0.043, 0.160, 0.000)),  # 15 Head: its top, 95 mm above SMPL's head joint
    ("chest", (-0.010, 0.310, 0.000)),  # 16 repeats 13
    ("l_side_of_chest", (-0.015, 0.312, 0.148)),  # 17 LShoulder: 22 mm further in than SMPL's
    ("l_upper_arm", (0.000, -0.266, 0.000)),  # 18 LElbow
    ("l_forearm", (0.000, -0.243, 0.000)),  # 19 LWrist
    ("l_forearm", (0.000, -0.243, 0.000)),  # 20 repeats 19
    ("l_forearm", (0.040, -0.300, 0.000)),  # 21 thumb
    ("l_forearm", (0.000, -0.340, 0.000)),  # 22 hand
    ("l_forearm", (0.000, -0.340, 0.000)),  # 23 repeats 22
    ("chest", (-0.010, 0.310, 0.000)),  # 24 repeats 13
    ("r_side_of_chest", (-0.015, 0.312, 0.148)),  # 25 RShoulder
    ("r_upper_arm", (0.000, -0.266, 0.000)),  # 26 RElbow
    ("r_forearm", (0.000, -0.243, 0.000)),  # 27 RWrist
    ("r_forearm", (0.000, -0.243, 0.000)),  # 28 repeats 27
    ("r_forearm", (0.040, -0.300, 0.000)),  # 29 thumb
    ("r_forearm", (0.000, -0.340, 0.000)),  # 30 hand
    ("r_forearm", (0.000, -0.340, 0.000)),  # 31 repeats 30
)

# COCO's seventeen keypoints, as its annotators, and detectors that learnt from them, place them: what is seen of a joint, not where
# it turns. Head: the vertex is 244 mm above SMPL's neck when the reference body stands; eyes lie 117 mm below it (eye height against
# stature: 1634 of 1756 mm, 1516 of 1629 mm in the survey of Gordon et al. 1989), the ears' tragions 128 mm, 145 mm apart (head
# lengths and bitragion breadth of the same survey); pupils are 63 mm apart and 75 mm before the tragions, the nose's tip 40 mm below
# and 43 mm before the pupils. Shoulders: the acromion's side of the joint. Hips: the joint's centre is 36 % of the distance of the
# iliac spines (236 mm) from the middle (Bell, Brand, Pedersen 1989), and is marked a little above it, where the thigh folds. Knees: at
# the patella. Ankles: at the malleoli, above the joint's axis. Elbows and wrists: SMPL's.
_COCO_JOINTS: tuple[tuple[str, tuple[float, float, float]], ...] = (
    ("head", (0.173, 0.087, 0.000)),  # nose
    ("l_side_of_head", (0.130, 0.127, 0.032)),  # eyes
    ("r_side_of_head", (0.130, 0.127, 0.032)),
    ("l_side_of_head", (0.055, 0.116, 0.072)),  # ears
    ("r_side_of_head", (0.055, 0.116, 0.072)),
    ("l_side_of_chest", (-0.015, 0.328, 0.168)),  # shoulders
    ("r_side_of_chest", (-0.015, 0.328, 0.168)),
    ("l_forearm", (0.000, 0.000, 0.000)),  # elbows
    ("r_forearm", (0.000, 0.000, 0.000)),
    ("l_forearm", (0.000, -0.249, 0.000)),  # wrists
    ("r_forearm", (0.000, -0.249, 0.000)),
    ("l_side_of_pelvis", (0.000, -0.075, 0.085)),  # hips
    ("r_side_of_pelvis", (0.000, -0.075, 0.085)),
    ("l_shin", (0.015, 0.000, 0.000)),  # knees
    ("r_shin", (0.015, 0.000, 0.000)),
    ("l_foot", (0.000, 0.012, 0.000)),  # ankles
    ("r_foot", (0.000, 0.012, 0.000)),
)


def _sided(part: str, offset: tuple[float, float, float]) -> tuple[str, tuple[float, float, float]]:
    """(part, offset) with the side words of the tables resolved: z is reversed on the left."""
    side = -1.0 if part.startswith("l_") else 1.0
    if "_of_" in part:  # a sided point of an unsided part
        part = part.split("_of_")[1]
    return part, (offset[0], offset[1], side * offset[2])


def _smpl_joint(name: str) -> tuple[str, tuple[float, float, float]]:
    prefix = name[:2] if name[1] == "_" else ""
    part, offset = _SMPL_JOINTS[name.removeprefix(prefix)]
    if prefix and part in PARTS:  # the collars: sided points of the chest
        return _sided(f"{prefix}side_of_{part}", offset)
    return _sided(prefix + part, offset)


JOINT_TABLES = {
    "h36m": tuple(_sided(part, offset) for part, offset in _H36M_JOINTS),
    "smpl": tuple(_smpl_joint(name) for name in SMPL_JOINT_NAMES),
    "coco": tuple(_sided(part, offset) for part, offset in _COCO_JOINTS),
}
"""By definition, 'h36m' (32 joints), 'smpl' (24) or 'coco' (17): (part, offset in metres) of each joint."""
LABELS = ("h36m", "smpl")
"""Definitions in which data sets give their 3D; COCO's is a detector's."""


@dataclass(frozen=True)
class BodyShape:
    """Lengths of a body against the reference body: 1.03 is 3 % longer."""

    sex: str
    stature: float  # metres
    trunk: float
    shoulders: float
    hips: float
    thighs: float
    shins: float
    upper_arms: float
    forearms: float
    head: float

    def describe(self) -> dict:
        return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}

    def part_scale(self, part: str) -> np.ndarray:
        """(3,) factors for offsets in the frame of `part`."""
        overall = self.stature / REFERENCE_STATURE
        length, width = {
            "pelvis": (self.trunk, self.hips),
            "chest": (self.trunk, self.shoulders),
            "head": (self.head, self.head),
            "thigh": (self.thighs, 1.0),
            "shin": (self.shins, 1.0),
            "foot": (self.shins, 1.0),
            "upper_arm": (self.upper_arms, 1.0),
            "forearm": (self.forearms, 1.0),
        }[part.removeprefix("r_").removeprefix("l_")]
        return overall * np.array([length if part.endswith("foot") else 1.0, length, width])

    def leg_length(self) -> float:
        """Hip to ankle, metres."""
        return -float(self.part_scale("r_thigh")[1] * _PIVOTS["shin"][1] + self.part_scale("r_shin")[1] * _PIVOTS["foot"][1])


# Stature in the ANSUR II survey (Gordon et al. 2014), metres: mean and standard deviation.
_STATURE = {"male": (1.756, 0.069), "female": (1.629, 0.064)}
# Shoulder breadth (biacromial) against stature differs by sex: 416 mm / 1.756 m and 365 mm / 1.629 m in the same survey.
_SHOULDERS = {"male": 1.027, "female": 0.973}
# What is left of a segment's variation once stature is known: ANSUR II's limb lengths vary by 5 to 6 % and correlate
# with stature by about 0.85, which leaves about 3 %.
_SEGMENT_DEVIATION = 0.03


def draw_shape(rng: np.random.Generator, sex: str, spread: float = 1.0) -> BodyShape:
    """A body of the population; `spread` widens every deviation (1.5 for the synthetic bodies of a SURREAL-like set)."""
    mean, deviation = _STATURE[sex]
    segment = np.exp(rng.normal(0, _SEGMENT_DEVIATION * spread, size=8))
    stature = float(np.clip(rng.normal(mean, deviation * spread), mean - 3 * deviation, mean + 3 * deviation))
    trunk, shoulders, hips, thighs, shins, upper_arms, forearms, head = (float(factor) for factor in segment)
    return BodyShape(sex, stature, trunk, shoulders * _SHOULDERS[sex], hips, thighs, shins, upper_arms, forearms, head)


# Part axes (x forward, y up, z right) to a world with z up and y to the left of x, as in Human3.6M.
_PART_TO_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_SOLE = 0.02
"""Height of the lowest joint (the ball of the foot, or a hand or hip on the ground) above the floor."""


def pose_body(
    motion: Motion,
    shape: BodyShape,
    heading: float,
    place: tuple[float, float],
    definitions: Sequence[str] = LABELS,
) -> dict[str, np.ndarray]:
    """Pose a body with a motion in a world with z up and the floor at z = 0.

    Args:
        heading: turn about the vertical, radians, applied to the whole clip.
        place: (x, y) metres where the middle of the clip's path comes to lie.
        definitions: whose joints are wanted, 'smpl' among them: the floor is below its lowest one.

    Returns:
        By definition: 'h36m' (T, 32, 3), 'smpl' (T, 24, 3), 'coco' (T, 17, 3) joints of the same body, metres.
    """
    turn = np.array([[np.cos(heading), -np.sin(heading), 0], [np.sin(heading), np.cos(heading), 0], [0, 0, 1]])
    to_world = turn @ _PART_TO_WORLD
    local = quaternion_to_matrix(motion.rotations)  # (T, 13, 3, 3)
    rotation: dict[str, np.ndarray] = {}
    origin: dict[str, np.ndarray] = {}
    for i, part in enumerate(PARTS):
        parent = PART_PARENTS[part]
        if parent is None:
            rotation[part] = to_world @ local[:, i]
            origin[part] = (motion.root * shape.leg_length()) @ to_world.T
            continue
        _, pivot = _sided(part, _PIVOTS[part.removeprefix("r_").removeprefix("l_")])
        rotation[part] = rotation[parent] @ local[:, i]
        origin[part] = origin[parent] + rotation[parent] @ (shape.part_scale(parent) * pivot)
    scale = {part: shape.part_scale(part) for part in PARTS}
    joints = {
        definition: np.stack(
            [
                origin[part] + rotation[part] @ (scale[part] * np.array(offset)) if any(offset) else origin[part]
                for part, offset in JOINT_TABLES[definition]
            ],
            axis=1,
        )
        for definition in definitions
    }
    middle = origin["pelvis"].mean(axis=0)
    # One shift for the whole clip, and the same for both definitions: they are joints of one body.
    lowest = joints["smpl"][..., 2].min()
    shift = np.array([place[0] - middle[0], place[1] - middle[1], _SOLE - lowest])
    return {definition: points + shift for definition, points in joints.items()}
