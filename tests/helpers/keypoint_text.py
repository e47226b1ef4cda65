"""2D joints in the orders of detectors, and the files that these write, for the tests. Written without the readers' own parts."""

import csv
import io
import json

import numpy as np

from common.geometry.skeleton import JOINT_NAMES

_COCO = "nose leye reye lear rear LShoulder RShoulder LElbow RElbow LWrist RWrist LHip RHip LKnee RKnee LFoot RFoot"
_NAMES = {
    "coco": _COCO,
    "coco_wholebody": _COCO + " other" * 116,
    "halpe26": _COCO + " Head Thorax Hip" + " other" * 6,
    "halpe136": _COCO + " Head Thorax Hip" + " other" * 116,
    "blazepose": (
        "nose other leye other other reye other lear rear other other LShoulder RShoulder LElbow RElbow LWrist RWrist"
        + " other" * 6
        + " LHip RHip LKnee RKnee LFoot RFoot"
        + " other" * 4
    ),
    "openpose_coco": (
        "nose other RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RFoot LHip LKnee LFoot reye leye rear lear"
    ),
    "openpose_mpi": "Head other RShoulder RElbow RWrist LShoulder LElbow LWrist RHip RKnee RFoot LHip LKnee LFoot other",
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
    """(T, 16, 2) to the joints of an order: a face around the head, what is no joint of ours far from everything."""
    place = {joint: pixels[:, i] for i, joint in enumerate(JOINT_NAMES)}
    place |= {"leye": place["Head"] + (8, 0), "reye": place["Head"] - (8, 0), "other": place["Hip"] + (0, -400)}
    place |= {"nose": place["Head"] + (1, 9), "lear": place["Head"] + (14, 3), "rear": place["Head"] + (-13, 3)}
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


def openpose(folder, people, video="walk", step=1, numbers=None):
    """As `--write_json` leaves it: a file a frame, of frames without people as well; joints that were not found are 0, 0, 0."""
    folder.mkdir(exist_ok=True)
    for frame in range(max(people) + 1):
        bodies = [
            {
                "person_id": [-1 if numbers is None else numbers[i]],
                "pose_keypoints_2d": np.column_stack([np.nan_to_num(pose), np.where(np.isnan(pose[:, 0]), 0, 0.9)])
                .ravel()
                .tolist(),
                "face_keypoints_2d": [],
            }
            for i, pose in enumerate(people.get(frame, []))
        ]
        (folder / f"{video}_{frame * step:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": bodies}))
    return folder


def alphapose_by_image(people, form):
    """`--format cmu` or `open`; images without people are not listed."""
    people_as, joints_as = {"cmu": ("bodies", "joints"), "open": ("people", "pose_keypoints_2d")}[form]
    images = {
        f"{frame}.jpg": {
            "version": "AlphaPose v0.3",
            people_as: [{joints_as: np.column_stack([pose, np.full(len(pose), 0.9)]).ravel().tolist()} for pose in present],
        }
        for frame, present in people.items()
        if present
    }
    return json.dumps(images)


def coco_annotations(people, size):
    """With v 2 for joints that are seen, 0, 0, 0 for others."""
    images = [
        {"id": 100 + frame, "file_name": f"{frame:012d}.jpg", "width": size[0], "height": size[1]}
        for frame in range(max(people) + 1)
    ]
    annotations = [
        {
            "id": 10 * frame + i,
            "image_id": 100 + frame,
            "category_id": 1,
            "bbox": [0, 0, 1, 1],
            "keypoints": np.column_stack([np.nan_to_num(pose), np.where(np.isnan(pose[:, 0]), 0, 2)]).ravel().tolist(),
        }
        for frame, present in people.items()
        for i, pose in enumerate(present)
    ]
    return json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]})


def mmpose_0(people, numbers=None):
    frames = [
        [
            {
                "bbox": [0.0, 0.0, 1.0, 1.0, 0.8],
                "keypoints": np.column_stack([pose, np.full(len(pose), 0.9)]).tolist(),
                **({"track_id": numbers[i]} if numbers else {}),
            }
            for i, pose in enumerate(people.get(frame, []))
        ]
        for frame in range(max(people) + 1)
    ]
    return json.dumps(frames)


def ultralytics_labels(people, size, confidence=True, numbers=None, score=False):
    """{frame: text} of `save_txt`; frames without people have no file."""
    texts = {}
    for frame, present in people.items():
        lines = []
        for i, pose in enumerate(present):
            joints = np.column_stack([pose / size, *([np.full(17, 0.9)] if confidence else [])])
            words = [0, 0.5, 0.5, 0.1, 0.1, *joints.ravel(), *([0.8] if score else []), *([numbers[i]] if numbers else [])]
            lines.append(" ".join(f"{word:.10g}" for word in words) + "\n")
        if lines:
            texts[frame] = "".join(lines)
    return texts


def ultralytics_csv(people, frame_column=True):
    """`to_csv` of pandas, whose rows begin with their number, with the frame that users add to tell the rows of a video apart."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["", "name", "class", "confidence", "box", "keypoints", *(["frame"] if frame_column else [])])
    for frame, present in people.items():
        for i, pose in enumerate(present):
            keypoints = {"x": pose[:, 0].tolist(), "y": pose[:, 1].tolist(), "visible": [0.9] * len(pose)}
            box = {"x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0}
            writer.writerow([i, "person", 0, 0.9, str(box), str(keypoints), *([frame] if frame_column else [])])
    return text.getvalue()


_LANDMARKS = """
    nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear mouth_left mouth_right
    left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb
    right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index
"""
LANDMARKS = _LANDMARKS.split()


def mediapipe(people, layout, size=(1, 1)):
    """The ways in which users write {frame: [(33, 2)]} down, divided by `size`, with a z of -0.2 and visibility 0.9."""

    def marks(pose):
        return [{"x": x, "y": y, "z": -0.2, "visibility": 0.9} for x, y in (pose / size).tolist()]

    frames = [[marks(pose) for pose in people.get(frame, [])] for frame in range(max(people) + 1)]
    first = [present[0] if present else None for present in frames]
    numbers = [[[mark["x"], mark["y"], mark["z"], mark["visibility"]] for mark in marks] if marks else [] for marks in first]
    content = {
        "dictionaries": first,
        "message": [{"landmark": marks} if marks else None for marks in first],
        "numbered": {"frames": [{"frame": i, "landmarks": marks} for i, marks in enumerate(first) if marks]},
        "tasks": [{"pose_landmarks": present, "pose_world_landmarks": []} for present in frames],
        "numbers": numbers,
        "named": [dict(zip(map(str.upper, LANDMARKS), marks)) if marks else {} for marks in numbers],
    }
    return json.dumps(content[layout])


def mediapipe_csv(people, layout, size=(1, 1)):
    """A row a frame, or with `long` a row a joint, of the first person."""
    text = io.StringIO()
    writer = csv.writer(text)
    columns = {
        "from 0": [f"{field}{i}" for i in range(33) for field in "xyzv"],
        "from 1": [f"{field}{i}" for i in range(1, 34) for field in "xyzv"],
        "names": [f"{name.upper()}_{field}" for name in LANDMARKS for field in ("x", "y", "z", "visibility")],
        "long": ["landmark_id", "x", "y", "z", "visibility"],
        "long names": ["landmark", "x", "y", "z", "visibility"],
    }[layout]
    writer.writerow(["frame", *columns])
    for frame in range(max(people) + 1):
        marks = [[x, y, -0.2, 0.9] for x, y in (people[frame][0] / size).tolist()] if people.get(frame) else []
        if layout.startswith("long"):
            for i, row in enumerate(marks):
                writer.writerow([frame, LANDMARKS[i].upper() if layout == "long names" else i, *row])
        else:
            writer.writerow([frame, *(np.ravel(marks).tolist() if marks else [""] * len(columns))])
    return text.getvalue()
