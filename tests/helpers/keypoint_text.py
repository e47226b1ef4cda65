"""2D joints in the orders of detectors, and the files that these write, for the tests. Written without the readers' own parts."""

import json

import numpy as np

from common.geometry.skeleton import JOINT_NAMES

_COCO = "nose leye reye lear rear LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LFoot RFoot"
_NAMES = {
    "coco": _COCO,
    "coco_wholebody": _COCO + " other" * 116,
    "halpe26": _COCO + " Head Thorax Hip" + " other" * 6,
    "body25": (
        "nose Thorax RShoulder RElbow RWrist LShoulder LElbow LWrist Hip RHip RKnee RFoot LHip LKnee LFoot reye leye rear lear"
        + " other" * 6
    ),
    "mpii": "RFoot RKnee RHip LHip LKnee LFoot Hip Thorax other Head RWrist RElbow RShoulder LShoulder LElbow LWrist",
    "h36m17": "Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax other Head LShoulder LElbow LWrist RShoulder RElbow RWrist",
    "h36m": " ".join(JOINT_NAMES),
    "h36m32": (
        "Hip RHip RKnee RFoot other other LHip LKnee LFoot other other other Spine Thorax other Head other LShoulder LElbow LWrist"
        + " other" * 5
        + " RShoulder RElbow RWrist"
        + " other" * 4
    ),
    "hourglass": "RFoot RKnee RHip LHip LKnee LFoot Hip Spine Thorax Head RWrist RElbow RShoulder LShoulder LElbow LWrist",
}
ORDERS = {order: names.split() for order, names in _NAMES.items()}


def by_rule(pixels):
    """(T, 16, 2) with hip, thorax and spine where they follow from hips and shoulders: what detectors' orders can say."""
    place = {joint: pixels[:, i] for i, joint in enumerate(JOINT_NAMES)}
    place["Hip"] = (place["LHip"] + place["RHip"]) / 2
    place["Thorax"] = (place["LShoulder"] + place["RShoulder"]) / 2
    place["Spine"] = (place["Hip"] + place["Thorax"]) / 2
    return np.stack([place[joint] for joint in JOINT_NAMES], axis=1)


def in_order(pixels, order):
    """(T, 16, 2) to the joints of an order: eyes on both sides of the head, what is no joint of ours far from everything."""
    place = {joint: pixels[:, i] for i, joint in enumerate(JOINT_NAMES)}
    place |= {"leye": place["Head"] + (8, 0), "reye": place["Head"] - (8, 0), "other": place["Hip"] + (0, -400)}
    return np.stack([place.get(joint, place["other"]) for joint in ORDERS[order]], axis=1)


# --- Files: people are {frame: [(J, 2) of each person]}; every joint has confidence 0.9 -------------------------------------


def mmpose(people, wrap=None):
    frames = []
    for frame, present in people.items():
        instances = [
            {"keypoints": pose.tolist(), "keypoint_scores": [0.9] * len(pose), "bbox": [[0, 0, 1, 1]], "bbox_score": 0.8}
            for pose in present
        ]
        frames.append({"frame_id": frame, "instances": instances})
    if wrap == "instance_info":
        return json.dumps({"meta_info": {"dataset_name": "coco"}, "instance_info": frames})
    if wrap == "predictions":
        return json.dumps({"visualization": [], "predictions": [frame["instances"] for frame in frames]})
    return json.dumps(frames)


def alphapose(people, numbers=None):
    rows = [
        {
            "image_id": f"{frame}.jpg",
            "category_id": 1,
            "keypoints": np.column_stack([pose, np.full(len(pose), 0.9)]).ravel().tolist(),
            "score": 2.9,
            "box": [0, 0, 1, 1],
            **({"idx": numbers[i]} if numbers else {}),
        }
        for frame, present in people.items()
        for i, pose in enumerate(present)
    ]
    return json.dumps(rows)


def ultralytics(people, numbers=None, layout="list"):
    frames = [
        [
            {
                "name": "person",
                "class": 0,
                "confidence": 0.9,
                "box": {"x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0},
                **({"track_id": numbers[i]} if numbers else {}),
                "keypoints": {"x": pose[:, 0].tolist(), "y": pose[:, 1].tolist(), "visible": [0.9] * len(pose)},
            }
            for i, pose in enumerate(people.get(frame, []))
        ]
        for frame in range(max(people) + 1)
    ]
    if layout == "lines":
        return "\n".join(json.dumps(frame) for frame in frames) + "\n"
    return json.dumps([json.dumps(frame) for frame in frames] if layout == "strings" else frames)


def detectron(path, people, size):
    """As `infer_video_d2.py` saves it: object arrays of [background, people]."""
    count = max(people) + 1
    boxes, keypoints = np.empty((count, 2), dtype=object), np.empty((count, 2), dtype=object)
    for frame in range(count):
        present = people.get(frame, [])
        boxes[frame] = [[], np.array([[0, 0, 1, 1, 0.9]] * len(present)) if present else []]
        rows = [np.column_stack([pose, np.zeros(len(pose)), np.full(len(pose), 0.9)]).T for pose in present]
        keypoints[frame] = [[], np.stack(rows) if rows else []]
    segments = np.array([None] * count, dtype=object)
    metadata = np.array({"w": size[0], "h": size[1]}, dtype=object)
    np.savez_compressed(path, boxes=boxes, segments=segments, keypoints=keypoints, metadata=metadata)


def prepared(path, clips, size):
    """As `prepare_data_2d_custom.py` saves it: clips {video: (T, 17, 2)}."""
    metadata = {
        "layout_name": "coco",
        "num_joints": 17,
        "keypoints_symmetry": [[1, 3], [2, 4]],
        "video_metadata": {name: {"w": size[0], "h": size[1]} for name in clips},
    }
    positions = {name: {"custom": [pixels.astype("float32")]} for name, pixels in clips.items()}
    np.savez_compressed(path, positions_2d=np.array(positions, dtype=object), metadata=np.array(metadata, dtype=object))
