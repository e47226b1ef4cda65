"""Files of four detectors are known by their content and read to the same joints; what is no such file is refused in words."""

import json

import numpy as np
import pytest

from common.datasets.h36m import load_h36m
from common.detections.files import read_keypoints
from common.detections.keypoints import to_our_joints
from common.detections.tracks import link_people
from common.errors import DuaError
from common.geometry.camera import image_coordinates
from common.geometry.skeleton import JOINT_NAMES
from tests.helpers import keypoint_text as text
from tests.helpers.h36m_files import make_2d, make_3d, write_2d, write_3d

SIZE = (640, 480)
FRAMES = 12


@pytest.fixture
def two():
    """{frame: [(17, 2) of person A, of person B]}: B is not there in frame 5 and leaves before the end; nobody is in frame 7."""
    rng = np.random.default_rng(1)
    body_a, body_b = rng.uniform(50, 150, (17, 2)), rng.uniform(350, 450, (17, 2))
    people = {frame: [body_a + frame, body_b - frame] for frame in range(FRAMES)}
    people[5] = people[5][:1]
    people[7] = []
    people[10], people[11] = people[10][:1], people[11][:1]
    return people


def write(path, kind, people):
    name, _, option = kind.partition(" ")
    if name == "detectron":
        text.detectron(path.with_suffix(".npz"), people, SIZE)
        return path.with_suffix(".npz")
    numbers = [31, 4] if option == "tracked" else None
    content = {
        "mmpose": lambda: text.mmpose(people, option or None),
        "alphapose": lambda: text.alphapose(people, numbers),
        "ultralytics": lambda: text.ultralytics(people, numbers, option if option in ("lines", "strings") else "list"),
    }[name]()
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "detectron",
        "mmpose",
        "mmpose instance_info",
        "mmpose predictions",
        "alphapose",
        "alphapose tracked",
        "ultralytics",
        "ultralytics tracked",
        "ultralytics lines",
        "ultralytics strings",
    ],
)
def test_every_format_gives_the_same_people(two, tmp_path, kind):
    file = read_keypoints(write(tmp_path / "whatever.txt", kind, two))
    assert file.source.lower().startswith(kind.split()[0])
    assert file.skeleton == "coco"
    assert file.image_size == (SIZE if kind == "detectron" else None)
    tracks = link_people(file.detections, file.threshold)
    assert [track.person for track in tracks] == ([31, 4] if "tracked" in kind else [1, 2])
    for track, i, present in zip(tracks, range(2), (FRAMES, 10), strict=True):
        frames, keypoints_2d, confidences = track.arrays()
        assert frames.tolist() == list(range(present))
        for frame in frames:
            seen = len(two[frame]) > i
            expected = two[frame][i] if seen else np.full((17, 2), np.nan)
            np.testing.assert_allclose(keypoints_2d[frame], expected, err_msg=f"frame {frame}")
            assert (confidences[frame] == (0.9 if seen else 0)).all()


def test_one_image_is_one_frame(two, tmp_path):
    path = tmp_path / "image.json"
    for content in (json.loads(text.mmpose(two))[3]["instances"], json.loads(text.ultralytics(two))[3]):
        path.write_text(json.dumps(content))
        file = read_keypoints(path)
        assert [detection.frame for detection in file.detections] == [0, 0]
        np.testing.assert_allclose(file.detections[1].keypoints_2d, two[3][1])


def test_a_prepared_file(tmp_path):
    clips = {name: np.random.default_rng(i).uniform(0, 400, (4, 17, 2)) for i, name in enumerate(("walk.mp4", "run.mp4"))}
    path = tmp_path / "data_2d_custom_mine.npz"
    text.prepared(path, clips, SIZE)
    file = read_keypoints(path, "run.mp4")
    assert (file.skeleton, file.image_size) == ("coco", SIZE)
    np.testing.assert_allclose(link_people(file.detections, 0.3)[0].arrays()[1], clips["run.mp4"].astype("float32"))
    for clip, words in ((None, "several videos; name one with --clip: walk.mp4, run.mp4"), ("hop", "no 'hop'")):
        with pytest.raises(DuaError, match=words):
            read_keypoints(path, clip)


def test_a_data_set_is_read_in_the_order_that_its_loader_takes(tmp_path):
    """VideoPose3D's stacked hourglass file has MPII's left joints and the data set's spine and thorax."""
    write_3d(tmp_path, positions_3d := make_3d(("S1",), ("Walking",)))
    order = [JOINT_NAMES.index(name) for name in text.ORDERS["hourglass"]]
    views = [view[:, order] for view in make_2d(positions_3d, joints=16)["S1"]["Walking"]]
    left = [3, 4, 5, 13, 14, 15]
    metadata = {"layout_name": "mpii", "num_joints": 16, "keypoints_symmetry": [left, [0, 1, 2, 10, 11, 12]]}
    path = write_2d(tmp_path, {"S1": {"Walking": views}}, "sh", metadata)
    file = read_keypoints(path, "S1/Walking/1")
    joints, _ = to_our_joints(link_people(file.detections, 0.3)[0].arrays()[1], file.skeleton)
    loaded = load_h36m(tmp_path, "sh", ("S1",))
    (sequence,) = [sequence for sequence in loaded.sequences if sequence.camera == "55011271"]
    rows = slice(sequence.start, sequence.stop)
    np.testing.assert_allclose(joints, image_coordinates(loaded.inputs_2d[rows].double().numpy(), 1000, 1000), atol=1e-3)


def test_joints_tell_their_order(two, tmp_path):
    path = tmp_path / "joints.json"
    pose = np.random.default_rng(0).uniform(0, 400, (136, 2))
    for count, order in ((16, "mpii"), (26, "halpe26"), (133, "coco_wholebody"), (21, None)):
        path.write_text(text.alphapose({0: [pose[:count]], 1: [pose[:count]]}))
        assert read_keypoints(path).skeleton == order
    path.write_text(text.mmpose({0: [pose[:17]]}, "instance_info").replace('"coco"', '"h36m"'))
    assert read_keypoints(path).skeleton == "h36m17"


def test_images_are_numbered_by_their_names(two, tmp_path):
    path = tmp_path / "alphapose.json"
    rows = json.loads(text.alphapose({frame: two[0][:1] for frame in range(4)}))
    for names, frames in (
        (("v2_0007.png", "v2_0008.png", "v2_0011.png", "v2_0012.png"), [7, 8, 11, 12]),
        (("10.jpg", "15.jpg", "30.jpg", "20.jpg"), [2, 3, 6, 4]),  # every fifth frame
        (("a.jpg", "b.jpg", "d.jpg", "c.jpg"), [0, 1, 2, 3]),
        ((3, 4, 5, 7), [3, 4, 5, 7]),
    ):
        path.write_text(json.dumps([row | {"image_id": name} for row, name in zip(rows, names)]))
        assert [detection.frame for detection in read_keypoints(path).detections] == frames


def test_frames_are_numbered_as_in_the_video(two, tmp_path):
    """Of every fifth image, poses follow on each other, and are told by the numbers of the images."""
    path = tmp_path / "fifth.json"
    numbers = range(17, 113, 5)
    people = {number: two[0][:1] for number in numbers if number != 32}
    for content in (text.alphapose(people), text.mmpose(people), text.mmpose(people | {32: []})):
        path.write_text(content)
        file = read_keypoints(path)
        frames, keypoints_2d, _ = link_people(file.detections, file.threshold)[0].arrays()
        assert file.in_video(frames).tolist() == list(numbers)
        assert np.isnan(keypoints_2d).any(axis=(1, 2)).nonzero()[0].tolist() == [3]
    path.write_text(text.mmpose({2: two[0], 3: [], 6: two[0]}))  # what is listed counts, whether or not somebody is there
    assert read_keypoints(path).step == 1
    path.write_text(text.alphapose({0: two[0][:1]}).replace("0.jpg", "first.jpg"))
    assert read_keypoints(path).source == "AlphaPose, images numbered as they come"


@pytest.mark.parametrize("numbers", [[31, 4], [7]])
def test_one_list_of_the_people_of_all_frames_is_taken_apart(two, tmp_path, numbers):
    """As `results.extend(result.summary())` makes it."""
    path = tmp_path / "flat.json"
    people = {frame: two[frame][: len(numbers)] for frame in range(5)}
    flat = [person for frame in json.loads(text.ultralytics(people, numbers)) for person in frame]
    path.write_text(json.dumps(flat))
    file = read_keypoints(path)
    assert file.source == "Ultralytics, one list of all frames: a number that is there again begins the next"
    tracks = link_people(file.detections, file.threshold)
    assert [(track.person, len(track)) for track in tracks] == [(number, 5) for number in numbers]
    for i, track in enumerate(tracks):
        np.testing.assert_allclose(track.arrays()[1], [people[frame][i] for frame in range(5)])


def test_one_list_of_several_frames_that_cannot_be_taken_apart_is_refused(two, tmp_path):
    path = tmp_path / "flat.json"

    def flat(people, numbers=None):
        return [person for frame in json.loads(text.ultralytics(people, numbers)) for person in frame]

    alone = {frame: two[frame][:1] for frame in range(5)}
    for rows, words in (
        (flat(two, [31, 4]), "19 people in one frame, number 31 of them 11 times"),  # they come and go
        (flat(alone), "5 people in one frame, most in the place of another"),
        (flat({frame: two[frame] for frame in range(5)}, [0, 0]), "10 people in one frame, number 0 of them 10 times"),
        ([row for frame in json.loads(text.mmpose(alone)) for row in frame["instances"]], "5 people in one frame"),
    ):
        path.write_text(json.dumps(rows))
        with pytest.raises(DuaError, match=f"{words}.*a list for each frame") as caught:
            read_keypoints(path)
        assert str(path) in str(caught.value)


def test_a_crowd_in_one_image_is_no_list_of_frames(tmp_path):
    path = tmp_path / "crowd.json"
    body = np.random.default_rng(1).uniform(0, 100, (17, 2))
    crowd = {0: [body + np.array([60 * i, 20 * (i % 2)]) for i in range(12)]}
    for numbers in (None, list(range(12)), [0] * 12, [-1] * 12):
        path.write_text(text.ultralytics(crowd, numbers))
        file = read_keypoints(path)
        assert [detection.frame for detection in file.detections] == [0] * 12
        assert len(link_people(file.detections, file.threshold)) == 12


def test_what_is_no_keypoint_file_is_refused(two, tmp_path):
    path = tmp_path / "file.json"
    bad = {
        "neither .npz nor whole JSON": ["hello", "", text.mmpose(two)[:-100], "\x00\xff", '{"a": 1}\nhello'],
        "no known layout": ['{"a": 1}', "3", '[{"keypoints": [1, 2]}]', '"text"'],
        "not laid out as expected": [
            "[1, 2, 3]",
            text.alphapose(two).replace('"keypoints": [', '"keypoints": [1.0, ', 1),
            text.mmpose(two).replace('"keypoint_scores": [0.9, ', '"keypoint_scores": [', 1),
            text.ultralytics(two).replace('"x": [', '"x": [1.0, ', 1),
            text.ultralytics(two, [1, 2]).replace('"track_id": 1', '"track_id": 1e999', 1),
            text.ultralytics(two).replace('"visible": [0.9', '"visible": ["sure"', 1),
        ],
        "holds no person": ["[]", "[[], []]", '{"instance_info": []}', '[{"frame_id": 0, "instances": []}]'],
        "as no video does": [text.mmpose({0: two[0], 10**12: two[0]})],
        "poses of 16 and 17 joints": [text.mmpose({0: [two[0][0]], 1: [two[0][0][:16]]})],
    }
    for words, contents in bad.items():
        for content in contents:
            path.write_text(content, encoding="latin1")
            with pytest.raises(DuaError, match=words) as caught:
                read_keypoints(path)
            assert str(path) in str(caught.value)
    np.savez(tmp_path / "other.npz", a=1)
    for name, words in (("other.npz", "holds a, which no known format has"), ("none.json", "does not exist")):
        with pytest.raises(DuaError, match=words):
            read_keypoints(tmp_path / name)
    path.write_text(text.mmpose(two))
    with pytest.raises(DuaError, match="--clip walk"):
        read_keypoints(path, "walk")


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return eval, ("print('ran')",)

    np.savez(tmp_path / "bad.npz", boxes=np.array([Harmful()], dtype=object), keypoints=np.zeros(1))
    with pytest.raises(DuaError, match=r"builtins\.eval"):
        read_keypoints(tmp_path / "bad.npz")


def test_of_many_videos_those_with_a_name_like_the_wanted_one_are_told(tmp_path):
    cameras = [np.zeros((2, 17, 2))] * 4
    positions = {f"S{subject}": {f"Take {take}": cameras for take in range(20)} for subject in range(1, 12)}
    np.savez(tmp_path / "many.npz", positions_2d=np.array(positions, dtype=object))
    with pytest.raises(
        DuaError, match=r"holds no 'S7/Take 13'; name one with --clip: S7/Take 13/0, S7/Take 13/1, .*\(880 in all\)"
    ):
        read_keypoints(tmp_path / "many.npz", "S7/Take 13")
