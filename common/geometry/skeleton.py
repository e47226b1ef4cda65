"""The sixteen joints that every data set is brought to, and where each data set keeps them."""

import numpy as np

JOINT_NAMES = (
    "Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Head",
    "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14)
NUM_JOINTS = len(JOINT_NAMES)
ROOT = 0

JOINTS_LEFT = (4, 5, 6, 10, 11, 12)
JOINTS_RIGHT = (1, 2, 3, 13, 14, 15)
MIRROR = (0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 13, 14, 15, 10, 11, 12)
"""`poses[:, MIRROR]` exchanges left and right labels."""

BONES = tuple((PARENTS[joint], joint) for joint in range(1, NUM_JOINTS))
"""(parent, child) of each of the fifteen bones."""

H36M_32_TO_16 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 15, 17, 18, 19, 25, 26, 27)
H36M_32_TO_17 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""VideoPose3D's seventeen joints: ours and Neck/Nose (14)."""

H36M_JOINTS_TO_16 = {
    32: H36M_32_TO_16,
    17: tuple(joint for joint in range(17) if joint != 9),  # Neck/Nose stands at place 9
    16: tuple(range(16)),
}
"""By the number of joints in a Human3.6M file: which of them are our sixteen."""

HOURGLASS_TO_16 = (6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10)
"""Stacked hourglass detections come in MPII's order: right ankle first, hip at 6, right wrist at 10."""

SMPL_JOINT_NAMES = (
    "pelvis", "l_hip", "r_hip", "spine1", "l_knee", "r_knee", "spine2", "l_ankle", "r_ankle", "spine3", "l_foot", "r_foot",
    "neck", "l_collar", "r_collar", "head", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist",
    "l_hand", "r_hand",
)  # fmt: skip
SMPL_24_TO_16 = (0, 2, 5, 8, 1, 4, 7, 9, 12, 15, 16, 18, 20, 17, 19, 21)
SMPL_24_TO_16_COLLAR = (0, 2, 5, 8, 1, 4, 7, 9, 12, 15, 13, 18, 20, 14, 19, 21)
"""The published DUA code takes the collars for the shoulders (`--smpl_shoulders collar`)."""
SMPL_24_TO_16_SPINE2 = (0, 2, 5, 8, 1, 4, 7, 6, 12, 15, 16, 18, 20, 17, 19, 21)
"""PoseBench3D's: SMPL's second spine joint is the spine, where ours is the third."""

SMPL_MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)


def handedness(poses_3d: np.ndarray) -> np.ndarray:
    """Which way round the bodies are: positive for a real body, negative for its mirror image.

    In a right-handed frame (camera space with x right, y down, z forward is one) leftwards (right to left hip) times
    upwards (hip to thorax) is forwards, and a knee bends forwards. A straight leg does not show where forwards is, so a
    knee weighs by how much it is bent; the mean over a set says which way round the set is.

    Args:
        poses_3d: (N, 16, 3), any unit.

    Returns:
        (N,) cosine-like scores in [-1, 1]; about 0 where the legs are straight.
    """
    joint = {name: poses_3d[:, i] for i, name in enumerate(JOINT_NAMES)}
    leftwards = _unit(joint["LHip"] - joint["RHip"])
    upwards = _unit(joint["Thorax"] - joint["Hip"])
    forwards = np.cross(leftwards, upwards)
    score = np.zeros(len(poses_3d))
    for side in "LR":
        thigh = joint[f"{side}Knee"] - joint[f"{side}Hip"]
        shin = joint[f"{side}Foot"] - joint[f"{side}Knee"]
        # A knee folds the shin backwards: thigh minus shin points the way the knee points.
        bend = _unit(thigh) - _unit(shin)
        score += np.sum(bend * forwards, axis=-1) / 4
    return score


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-8)
