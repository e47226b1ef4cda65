"""What each detector writes, in each of its layouts, is read to the same places; 3D is called what it is."""

import json

import numpy as np
import pytest

from common.detections.files import read_keypoints
from common.detections.keypoints import to_our_joints
from common.detections.tracks import link_people
from common.errors import DuaError
from tests.helpers import keypoint_text as text

SIZE = (640, 480)
COUNTS = {"coco": 17, "body25": 25, "openpose_coco": 18, "openpose_mpi": 15, "blazepose": 33, "halpe136": 136}


def two(joints):
    """{frame: [(J, 2) of A, of B]}: B leaves after frame 5; nobody is in frame 3."""
    rng = np.random.default_rng(joints)
    a, b = rng.uniform(50, 150, (joints, 2)), rng.uniform(350, 450, (joints, 2))
    people = {frame: [a + frame, b - frame] for frame in range(9)}
    people[3] = []
    return people | {frame: people[frame][:1] for frame in (6, 7, 8)}


def alone(joints):
    return {frame: present[:1] for frame, present in two(joints).items()}


def check(file, people, order, confidence=0.9, atol=1e-4):
    """The people of a file are those that were written, in pixels."""
    assert file.skeleton == order
    detections, _ = file.in_pixels(SIZE)
    tracks = link_people(detections, file.threshold)
    ways = list(zip(*[people[frame] for frame in (0, 5)]))  # of those who are there in both frames
    assert len(tracks) == len(ways)
    for track, i in zip(tracks, range(len(ways)), strict=True):
        frames, keypoints_2d, confidences = track.arrays()
        present = [frame for frame in people if len(people[frame]) > i]
        assert frames.tolist() == list(range(present[-1] + 1))
        for frame in present:
            np.testing.assert_allclose(keypoints_2d[frame], people[frame][i], atol=atol, err_msg=f"frame {frame}")
            np.testing.assert_allclose(confidences[frame], confidence)
        assert np.isnan(keypoints_2d[3]).all()


@pytest.mark.parametrize("order", ["body25", "openpose_coco", "openpose_mpi"])
def test_openpose(tmp_path, order):
    people = two(COUNTS[order])
    folder = text.openpose(tmp_path / "json", people)
    file = read_keypoints(folder)
    assert (file.source, file.step) == ("OpenPose", 1)
    check(file, people, order)
    single = read_keypoints(folder / "walk_000000000004_keypoints.json")
    assert [detection.frame for detection in single.detections] == [0, 0]
    np.testing.assert_allclose(single.detections[1].keypoints_2d, people[4][1])
    with pytest.raises(DuaError, match="holds no person"):
        read_keypoints(folder / "walk_000000000003_keypoints.json")


def test_openpose_of_some_frames_of_several_videos(tmp_path):
    """`--frame_step 5`; and two videos that were written into one folder."""
    people = two(25)
    folder = text.openpose(tmp_path / "json", people, step=5)
    file = read_keypoints(folder)
    check(file, people, "body25")
    assert file.in_video(np.array([0, 1, 8])).tolist() == [0, 5, 40]
    text.openpose(folder, {0: people[0][:1]}, video="run-2")
    with pytest.raises(DuaError, match=r"files of several videos; name one with --clip: run-2, walk"):
        read_keypoints(folder)
    check(read_keypoints(folder, "walk"), people, "body25")
    assert len(read_keypoints(folder, "run-2").detections) == 1
    with pytest.raises(DuaError, match="holds no 'hop'"):
        read_keypoints(folder, "hop")


def test_openpose_numbers_people_and_leaves_joints_out(tmp_path):
    people = two(25)
    people[0][0][4] = np.nan
    detections = read_keypoints(text.openpose(tmp_path / "json", people, numbers=[7, 3])).detections
    assert {detection.person for detection in detections} == {7, 3}
    joints, missing = to_our_joints(np.stack([detections[0].keypoints_2d, people[1][0]]), "body25")
    assert np.argwhere(missing).tolist() == [[0, 15]]  # the right wrist
    np.testing.assert_allclose(joints[0, 15], people[1][0][4])
    unnumbered = read_keypoints(text.openpose(tmp_path / "json", people)).detections
    assert {detection.person for detection in unnumbered} == {None}


@pytest.mark.parametrize("form", ["cmu", "open"])
def test_alphapose_by_image(tmp_path, form):
    people = two(18)
    path = tmp_path / "alphapose-results.json"
    path.write_text(text.alphapose_by_image(people, form))
    file = read_keypoints(path)
    assert file.source == "AlphaPose"
    check(file, people, "openpose_coco")
    folder = tmp_path / "sep-json"
    folder.mkdir()
    for name, image in json.loads(path.read_text()).items():
        (folder / name.replace("jpg", "json")).write_text(json.dumps(image))
    check(read_keypoints(folder), people, "openpose_coco")


def test_the_neck_of_alphapose_is_not_used():
    """With Halpe's models it writes the top of the head there."""
    pixels = text.by_rule(np.random.default_rng(0).uniform(100, 400, (2, 16, 2)))
    joints = text.in_order(pixels, "openpose_coco")
    joints[:, 1] = 9.0
    np.testing.assert_allclose(to_our_joints(joints, "openpose_coco")[0], pixels)


def test_alphapose_of_the_whole_body(tmp_path):
    path = tmp_path / "halpe.json"
    path.write_text(text.alphapose(two(136)))
    check(read_keypoints(path), two(136), "halpe136")


@pytest.mark.parametrize("joints", [17, 136])
def test_coco_annotations(tmp_path, joints):
    people = two(joints)
    path = tmp_path / "person_keypoints.json"
    path.write_text(text.coco_annotations(people, SIZE))
    file = read_keypoints(path)
    assert (file.source, file.image_size) == ("COCO annotations", SIZE)
    check(file, people, "coco" if joints == 17 else "halpe136", confidence=2)
    content = json.loads(path.read_text())
    content["annotations"][0]["keypoints"][2] = 1  # labelled, but hidden: it has a place
    content["annotations"][0]["keypoints"][3:6] = 0, 0, 0
    content["images"][0]["width"] += 1
    path.write_text(json.dumps(content))
    file = read_keypoints(path)
    assert file.image_size is None  # there are several
    assert (file.detections[0].confidences[:3] >= file.threshold).tolist() == [True, False, True]


def test_mmpose_0(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(text.mmpose_0(two(17)))
    file = read_keypoints(path)
    assert file.source == "MMPose 0.x"
    assert file.detections[0].score == 0.8
    check(file, two(17), "coco")
    path.write_text(text.mmpose_0(two(17), numbers=[4, 9]))
    assert {detection.person for detection in read_keypoints(path).detections} == {4, 9}


@pytest.mark.parametrize("confidence", [True, False])
@pytest.mark.parametrize("after", ["", "score", "number", "score number"])
def test_ultralytics_labels(tmp_path, confidence, after):
    people = two(17)
    numbers = [7, 3] if "number" in after else None
    texts = text.ultralytics_labels(people, SIZE, confidence, numbers, "score" in after)
    labels = tmp_path / "predict" / "labels"
    labels.mkdir(parents=True)
    for frame, content in texts.items():
        (labels / f"walk_{frame}.txt").write_text(content)
    for place in (labels, labels.parent):
        file = read_keypoints(place)
        assert file.source == "Ultralytics"
        assert {detection.person for detection in file.detections} == (set(numbers) if numbers else {None})
        assert {detection.score for detection in file.detections} == ({0.8} if "score" in after else {1.0})
        check(file, people, "coco", 0.9 if confidence else 1)
    single = read_keypoints(labels / "walk_5.txt")
    assert [detection.frame for detection in single.detections] == [0, 0]
    np.testing.assert_allclose(single.in_pixels(SIZE)[0][1].keypoints_2d, people[5][1], atol=1e-4)


def test_ultralytics_csv(tmp_path):
    people = two(17)
    path = tmp_path / "results.csv"
    path.write_text(text.ultralytics_csv(people))
    file = read_keypoints(path)
    assert file.source == "Ultralytics"
    check(file, people, "coco")
    path.write_text(text.ultralytics_csv({0: people[0]}, frame_column=False))
    np.testing.assert_allclose(read_keypoints(path).detections[1].keypoints_2d, people[0][1])
    folder = tmp_path / "csv"
    folder.mkdir()
    for frame, present in people.items():
        if present:
            (folder / f"walk_{frame}.csv").write_text(text.ultralytics_csv({frame: present}, frame_column=False))
    check(read_keypoints(folder), people, "coco")


def test_every_third_frame_is_one_and_keeps_its_number(tmp_path):
    """In each format that names frames, or images: detections follow on each other, `in_video` gives the numbers back."""
    for joints, name, write in (
        (17, "a.json", lambda people: text.coco_annotations(people, SIZE)),
        (18, "b.json", lambda people: text.alphapose_by_image(people, "open")),
        (17, "c.csv", text.ultralytics_csv),
        (33, "d.csv", lambda people: text.mediapipe_csv(people, "names")),
        (33, "e.json", lambda people: text.mediapipe(people, "numbered")),
    ):
        thirds = {3 * frame + 2: present for frame, present in alone(joints).items() if present}
        content = write(thirds)
        if name == "a.json":  # this writer lists all images in between
            content = json.loads(content)
            content["images"] = [image for image in content["images"] if (image["id"] - 100) % 3 == 2]
            content = json.dumps(content)
        if name == "d.csv":
            head, *rows = content.splitlines()
            content = "\n".join([head, *(row for row in rows if int(row.split(",")[0]) % 3 == 2)])
        (tmp_path / name).write_text(content)
        file = read_keypoints(tmp_path / name)
        frames = np.array([detection.frame for detection in file.detections])
        assert frames.tolist() == [0, 1, 2, 4, 5, 6, 7, 8], name
        assert file.in_video(frames).tolist() == list(thirds), name


@pytest.mark.parametrize("size", [SIZE, (1, 1)])
@pytest.mark.parametrize("layout", ["dictionaries", "message", "numbered", "tasks", "numbers", "named"])
def test_mediapipe_json(tmp_path, layout, size):
    people = two(33) if layout == "tasks" else alone(33)
    path = tmp_path / "landmarks.json"
    path.write_text(text.mediapipe(people, layout, size))
    file = read_keypoints(path)
    assert (file.source, file.in_pixels(SIZE)[1]) == ("MediaPipe", size == SIZE)
    check(file, people, "blazepose")


@pytest.mark.parametrize("layout", ["from 0", "from 1", "names", "long", "long names"])
def test_mediapipe_csv(tmp_path, layout):
    path = tmp_path / "landmarks.csv"
    for size in (SIZE, (1, 1)):
        path.write_text(text.mediapipe_csv(alone(33), layout, size))
        file = read_keypoints(path)
        assert file.source == "MediaPipe"
        check(file, alone(33), "blazepose")


def test_a_table_of_some_joints(tmp_path):
    """COCO's names alone are COCO's order; landmarks that have no column are not seen; images are numbered by their names."""
    path = tmp_path / "joints.csv"
    path.write_text("image,nose_x,nose_y,nose_score,left_wrist_x,left_wrist_y,left_wrist_score\na_07.png,5,6,0.4,1,2,0.5\n")
    file = read_keypoints(path)
    assert (file.skeleton, file.detections[0].frame) == ("coco", 7)
    assert file.detections[0].keypoints_2d[[0, 9]].tolist() == [[5, 6], [1, 2]]
    assert file.detections[0].confidences[[0, 9]].tolist() == [0.4, 0.5]
    assert np.isnan(file.detections[0].keypoints_2d).all(axis=1).sum() == 15
    path.write_text("frame;landmark;x;y\n3;LEFT_HEEL;7;8\n")
    file = read_keypoints(path)
    assert (file.skeleton, file.detections[0].frame) == ("blazepose", 3)
    assert file.detections[0].keypoints_2d[29].tolist() == [7, 8]


def arrays(people):
    """(T, 17, 2) with NaN where nobody is."""
    blank = np.full((1, 17, 2), np.nan)
    return np.concatenate([people[frame][0][None] if people[frame] else blank for frame in people])


def test_plain_arrays(tmp_path):
    people = alone(17)
    poses, scores = arrays(people), np.full((9, 17), 0.9)
    three = np.concatenate([poses, scores[..., None]], axis=-1)
    np.save(tmp_path / "plain.npy", three)
    np.savez(tmp_path / "unnamed.npz", poses, scores)
    np.savez(tmp_path / "named.npz", keypoints=poses.astype("float32"), scores=scores, frames=np.arange(9), image_size=SIZE)
    np.savez(tmp_path / "only.npz", whatever=three, frames=np.arange(9))
    np.save(tmp_path / "dictionary.npy", {"kpts": three}, allow_pickle=True)
    for name in ("plain.npy", "unnamed.npz", "named.npz", "only.npz", "dictionary.npy"):
        file = read_keypoints(tmp_path / name)
        assert file.source.startswith("plain array")
        assert file.image_size == (SIZE if name == "named.npz" else None)
        check(file, people, None)  # of seventeen joints, eyes and ears say the order
    np.save(tmp_path / "frame.npy", poses[0])
    np.testing.assert_allclose(read_keypoints(tmp_path / "frame.npy").detections[0].keypoints_2d, poses[0])
    both = np.stack([poses, poses + 200], axis=1)  # (T, 2, 17, 2)
    np.save(tmp_path / "two.npy", both)
    tracks = link_people(read_keypoints(tmp_path / "two.npy").detections, 0.3)
    np.testing.assert_allclose(tracks[1].arrays()[1], both[:, 1])


def test_arrays_of_landmarks(tmp_path):
    people = alone(33)
    poses = np.stack([people[frame][0] if people[frame] else np.full((33, 2), np.nan) for frame in people])
    rest = np.broadcast_to([-0.2, 0.9], (*poses.shape[:2], 2))
    for columns, confidence in (((), 1), ((0,), 1), ((1,), 0.9), ((0, 1), 0.9)):
        np.savez(tmp_path / "l.npz", landmarks=np.concatenate([poses / SIZE, rest[..., columns]], axis=-1))
        file = read_keypoints(tmp_path / "l.npz")
        assert file.source.startswith("MediaPipe")
        check(file, people, "blazepose", confidence)


def test_3d_is_called_3d(tmp_path):
    metres = np.random.default_rng(0).normal(0, 0.5, (6, 17, 3))
    np.save(tmp_path / "metres.npy", metres)
    np.save(tmp_path / "millimetres.npy", metres * 1000)
    np.save(tmp_path / "standing.npy", np.abs(metres) * [1, 1, 3])  # in a corner of the world, the feet on the floor
    np.savez(tmp_path / "scored.npz", keypoints=metres, scores=np.ones((6, 17)))
    np.savez(tmp_path / "world.npz", positions_3d=np.array({"S1": {"Walk": metres}}, dtype=object))
    text.prepared(tmp_path / "prepared.npz", {"walk.mp4": metres}, SIZE)
    people = {0: [metres[0]]}
    (tmp_path / "mmpose.json").write_text(text.mmpose(people))
    (tmp_path / "mmpose_0.json").write_text(json.dumps([[{"keypoints": metres[0].tolist()}]]))
    world = [{"pose_world_landmarks": [{"x": 0.1, "y": 0.1, "z": 0.1}] * 33}]
    (tmp_path / "landmarks.json").write_text(json.dumps(world))
    for path in tmp_path.iterdir():
        with pytest.raises(DuaError, match="3D") as caught:
            read_keypoints(path)
        assert "normalised" not in str(caught.value)
        assert path.name in str(caught.value)


def test_what_is_no_such_file_is_refused(tmp_path):
    folder = tmp_path / "json"
    text.openpose(folder, two(25))
    (folder / "walk_000000000002_keypoints.json").write_text("{")
    with pytest.raises(DuaError, match=r"walk_000000000002_keypoints\.json is neither"):
        read_keypoints(folder)
    (folder / "walk_000000000002_keypoints.json").write_text('{"people": [{"pose_keypoints_2d": [1, 2]}]}')
    with pytest.raises(DuaError, match=r"walk_000000000002_keypoints\.json is not laid out"):
        read_keypoints(folder)
    (folder / "walk_000000000002_keypoints.json").write_text(text.mmpose(two(25)))
    with pytest.raises(DuaError, match=r"walk_000000000002_keypoints\.json .* several frames"):
        read_keypoints(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DuaError, match=r"without \.json, \.txt or \.csv files; known are"):
        read_keypoints(empty)
    (empty / "notes.txt").write_text("hello\n")
    with pytest.raises(DuaError, match="no labels of Ultralytics"):
        read_keypoints(empty)
    path = tmp_path / "bad"
    for words, content in (
        ("not laid out as expected", text.mediapipe_csv(alone(33), "from 0").replace("0.9", "sure", 1)),
        ("not laid out as expected", text.mediapipe_csv(alone(33), "long").replace("0,1,", "0,hip,", 1)),
        ("not laid out as expected", text.ultralytics_csv(two(17)).replace("visible", "vis'ible", 1)),
        ("not laid out as expected", '[{"landmarks": null}, {"other": 3}]'.replace("null", json.dumps([[1, 2]] * 33))),
        ("joint has the number", "frame,x0,y0,x999999999,y999999999\n0,1,2,3,4\n"),
        ("known are", "frame,speed\n0,1\n"),
    ):
        path.write_text(content)
        with pytest.raises(DuaError, match=words) as caught:
            read_keypoints(path)
        assert str(path) in str(caught.value)


def test_size_and_rate_of_the_video_beside_the_frames(tmp_path):
    """As `detect.py` writes them; what no video can have is as if it were not said."""
    frames = json.loads(text.mediapipe(alone(33), "numbers"))
    path = tmp_path / "a.json"
    for size, fps, read in (
        ([640, 480], 29.97, ((640, 480), 29.97)),
        ([640], 0, (None, None)),
        ([640, -480], "fast", (None, None)),
        ("640x480", 1e300, (None, None)),
        (None, [25], (None, None)),
    ):
        path.write_text(json.dumps({"image_size": size, "fps": fps, "frames": frames}))
        file = read_keypoints(path)
        assert (file.image_size, file.fps) == read
        check(file, alone(33), "blazepose")
    keypoints = np.array([row or np.full((33, 4), np.nan) for row in frames])
    for fps, rate in ((np.array(29.97), 29.97), (np.array([25, 30]), None)):
        np.savez(tmp_path / "a.npz", keypoints=keypoints, image_size=(640, 480), fps=fps)
        file = read_keypoints(tmp_path / "a.npz")
        assert (file.image_size, file.fps) == ((640, 480), rate)
