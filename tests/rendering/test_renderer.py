"""Scenes as pictures and files: which side is which colour, what is up, what stands still, and what an interruption leaves."""

import json
import os
import re
import signal

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageColor
from scipy.spatial import cKDTree

from common.errors import DuaError
from common.files.video import look_at
from common.geometry.camera import image_coordinates, normalize_screen_coordinates, project_to_2d, world_to_camera
from common.geometry.h36m_cameras import h36m_cameras
from common.geometry.skeleton import BONES, JOINT_NAMES, JOINTS_LEFT
from common.rendering.encoders import write_mp4
from common.rendering.layout import AZIMUTH, ELEVATION, HEIGHT, project
from common.rendering.outputs import check_output, write_scene
from common.rendering.renderer import Renderer
from common.rendering.scene import LEFT, MIDDLE, RIGHT, Panel, Scene, upright
from common.rendering.video import Video

CAMERAS = h36m_cameras("S11")
WRIST = JOINT_NAMES.index("RWrist")

# Somebody who stands in the origin with arms stretched out, facing +y: left is -x. Metres, z up from the floor.
STANDING = np.array(
    [
        (0, 0, 0.9), (0.12, 0, 0.9), (0.12, 0.02, 0.5), (0.12, 0, 0.08), (-0.12, 0, 0.9), (-0.12, 0.02, 0.5), (-0.12, 0, 0.08),
        (0, 0, 1.15), (0, 0, 1.4), (0, 0, 1.7), (-0.2, 0, 1.4), (-0.45, 0, 1.4), (-0.7, 0, 1.4), (0.2, 0, 1.4), (0.45, 0, 1.4),
        (0.7, 0, 1.4),
    ]
)  # fmt: skip


def turned(degrees):
    a = np.radians(degrees)
    return STANDING @ np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])


def scene_of(world, camera, **more):
    """A scene in which a camera of Human3.6M has seen the world positions (T, 16, 3)."""
    in_camera = world_to_camera(world, camera)
    screen = normalize_screen_coordinates(project_to_2d(in_camera, camera), *camera.resolution)
    poses = upright(in_camera - in_camera[:, :1], camera)
    options = {"title": "2D input", "subtitle": "S11 Standing", "fps": 50.0, **more}
    panels = options.pop("panels", (Panel("Ground truth", poses, truth=True),))
    joints = image_coordinates(screen, *camera.resolution)
    return Scene(joints_2d=joints, resolution=camera.resolution, panels=panels, **options)


def waving(count=12):
    """The right wrist goes up and down, nothing else moves."""
    world = np.repeat(STANDING[None], count, axis=0)
    world[:, WRIST, 2] += 0.2 * np.sin(np.arange(count))
    return world


def facing(camera):
    """Degrees that turn STANDING towards a camera."""
    x, y, _ = camera.translation
    return np.degrees(np.arctan2(-x, y))


def where(picture, colour):
    """(row, column) of the pixels that have a colour."""
    return np.argwhere((picture == ImageColor.getrgb(colour)).all(axis=-1))


def panels_of(renderer, picture):
    layout = renderer.layout
    middle = picture[layout.top : layout.top + layout.side]
    return np.split(middle, middle.shape[1] // layout.side, axis=1)


@pytest.mark.parametrize("camera", CAMERAS, ids=lambda camera: camera.name)
def test_left_is_blue_right_is_orange_and_heads_are_up(camera):
    for about, sign in ((0, 1), (180, -1)):
        renderer = Renderer(scene_of(turned(facing(camera) + about)[None], camera))
        for panel in panels_of(renderer, next(renderer.frames())):
            blue, orange = where(panel, LEFT), where(panel, RIGHT)
            assert min(len(blue), len(orange)) > 100
            # Who faces us has the left at our right.
            assert sign * (blue[:, 1].mean() - orange[:, 1].mean()) > 20
            rows = np.concatenate([blue, orange])[:, 0]
            widest = max(set(rows.tolist()), key=rows.tolist().count)
            assert widest < rows.min() + 0.5 * np.ptp(rows), "the stretched arms belong into the upper half"


def test_upright_is_the_world_turned_about_its_vertical():
    for camera in CAMERAS:
        in_camera = world_to_camera(STANDING, camera)
        poses = upright(in_camera - in_camera[0], camera)
        assert poses[:, 2] == pytest.approx(STANDING[:, 2] - 0.9, abs=1e-6)
        assert np.linalg.norm(poses, axis=1) == pytest.approx(np.linalg.norm(STANDING - STANDING[0], axis=1))
        assert upright(np.array([0.0, 0, 1]), camera)[:2] == pytest.approx([0, 1], abs=0.1), "away from the camera is y"
    assert upright(np.array([1.0, 2, 3])) == pytest.approx([1, 3, -2])


def test_the_counter_shows_the_recording_s_frames(monkeypatch):
    said = []
    monkeypatch.setattr(Renderer, "_write", lambda self, picture, where, text, *rest: said.append(text))
    list(Renderer(scene_of(waving(3), CAMERAS[0], first=100, step=5)).frames())
    assert [text for text in said if text.startswith("frame")] == ["frame 100", "frame 105", "frame 110"]


def test_only_what_moves_changes():
    renderer = Renderer(scene_of(waving(), CAMERAS[0]))
    frames = np.stack(list(renderer.frames()))
    assert frames.shape[1:] == (*renderer.layout.size[::-1], 3)
    moved = (frames != frames[0]).any(axis=(0, 3))
    # One forearm in two panels, and the counter: limits that followed the pose would move everything.
    assert 0.001 < moved.mean() < 0.05
    background = np.asarray(renderer.background)
    body = (frames != background).any(axis=(0, 3))
    assert 0.01 < body.mean() < 0.2, "what no body covers is the background, to the bit"
    # What is drawn lies along bones and shadows, no further from them than a joint is wide.
    lines = [
        places[:, 0, list(bone)] for places in (renderer._joints_2d, *renderer._joints, *renderer._shadows) for bone in BONES
    ]
    along = np.linspace(0, 1, 60)[:, None, None]
    points = np.concatenate([line[:, 0] * (1 - along) + line[:, 1] * along for line in lines]).reshape(-1, 2)
    counter = body.copy()
    counter[: renderer.layout.top + renderer.layout.side - 30] = False
    counter[:, renderer.layout.side // 2 :] = False
    assert cKDTree(points).query(np.argwhere(body & ~counter)[:, ::-1])[0].max() < 7
    assert not body[: renderer.layout.top].any()
    assert not body[-renderer.layout.bottom :].any()


def test_nothing_is_clipped_however_far_a_prediction_is_off():
    rng = np.random.default_rng(0)
    poses = rng.normal(0, 1.5, (6, 16, 3))
    scene = Scene("a", rng.uniform(0, 1000, (6, 16, 2)), (1000, 1000), (Panel("b", poses), Panel("c", poses / 3)), 50.0)
    renderer = Renderer(scene, inches=2)
    background = np.asarray(renderer.background)
    for frame in renderer.frames():
        changed = (frame != background).any(axis=-1)
        for panel in panels_of(renderer, changed):
            assert panel.any()
            assert not np.concatenate([panel[0], panel[-1], panel[:, 0], panel[:, -1]]).any()


@pytest.mark.parametrize(("nearer", "colour"), [(0.3, RIGHT), (-0.3, MIDDLE)], ids=["before", "behind"])
def test_what_is_nearer_covers_what_is_further(nearer, colour):
    """A forearm crosses the trunk where the view looks at, which stays in place along the line of sight."""
    world = STANDING.copy()
    world[[JOINT_NAMES.index("Hip"), JOINT_NAMES.index("Spine"), JOINT_NAMES.index("Thorax")], 2] = 0.5, 0.7, 1.1
    a, e = np.radians([AZIMUTH, ELEVATION])
    towards = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    across = np.array([np.cos(a), np.sin(a), 0.5])
    world[[WRIST - 1, WRIST]] = (0, 0, HEIGHT) + nearer * towards + 0.4 * np.outer([-1, 1], across)
    world[[3, 6], 2] = 0  # the feet stand on the floor, or the whole body would be moved there
    panel = Panel("a", (world - world[0])[None], truth=True)
    scene = Scene("2D", np.random.default_rng(0).uniform(0, 900, (1, 16, 2)), (1000, 1000), (panel,), 50.0)
    renderer = Renderer(scene)
    x, y = renderer.layout.fit(project(np.array([0, 0, HEIGHT]))[0])
    crossing = panels_of(renderer, next(renderer.frames()))[1][round(y), round(x)]
    assert tuple(crossing) == ImageColor.getrgb(colour)


def _about(degrees):
    a = np.radians(degrees)
    return np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]])


def test_joints_are_tinted_by_uncertainty_and_the_bar_says_how():
    scene = scene_of(np.repeat(turned(facing(CAMERAS[0]))[None], 2, axis=0), CAMERAS[0])
    sure = np.full((2, 16), 10.0)
    sure[:, list(JOINTS_LEFT)] = 30.0
    panels = (Panel("Prediction", scene.panels[0].poses_3d, "MPJPE 1 mm", sure), scene.panels[0])
    renderer = Renderer(scene_of(np.repeat(STANDING[None], 2, axis=0), CAMERAS[0], panels=panels))
    assert renderer.scene.uncertainty_range == (10, 30)
    _, predicted, truth = panels_of(renderer, next(renderer.frames()))
    pale, dark = ("#{:02x}{:02x}{:02x}".format(*renderer.colours[i]) for i in (6, -1))
    joints = {name: where(predicted, name) for name in (pale, dark)}
    assert len(joints[pale]) > 50, "joints of the right"
    # Every sixth tint is kept exact, the last is the 253rd of 256: look for what is nearly that.
    darkest = (np.abs(predicted.astype(int) - ImageColor.getrgb(dark)).sum(axis=-1) < 20).sum()
    assert darkest > 50
    assert (np.abs(truth.astype(int) - ImageColor.getrgb(dark)).sum(axis=-1) < 20).sum() == 0
    plain = np.asarray(Renderer(scene).background)[-renderer.layout.bottom :, -180:]
    assert (plain == 255).all(), "no colour bar without an uncertainty"
    assert len(np.unique(np.asarray(renderer.background)[-renderer.layout.bottom :, -180:].reshape(-1, 3), axis=0)) > 100


def test_long_titles_keep_what_tells_the_panels_apart():
    """Titles and what stands below them; what no other panel has, is cut at its end."""
    scene = scene_of(STANDING[None], CAMERAS[0])
    same = "Martinez, SURREAL → H3.6M + converter + uncertainty + "

    def strips(*ends):
        panels = tuple(Panel(same + end, scene.panels[0].poses_3d, same + end) for end in ends)
        renderer = Renderer(scene_of(STANDING[None], CAMERAS[0], panels=panels))
        side, middle = renderer.layout.side, renderer.layout.top // 2
        above = np.asarray(renderer.background)[: renderer.layout.top]
        return [above[rows, side * i : side * (i + 1)] for i in (1, 2) for rows in (slice(middle), slice(middle, None))]

    title_a, below_a, title_b, below_b = strips("domain", "gpa")
    assert (title_a != title_b).any()
    assert (below_a != below_b).any()
    title_a, _, title_b, _ = strips("domain", "domain")
    assert (title_a == title_b).all()


# --- files ------------------------------------------------------------------------------------------------------------


def test_gif_has_all_frames_one_palette_and_the_right_length(tmp_path):
    scene = scene_of(waving(20), CAMERAS[0], fps=30.0)
    write_scene(tmp_path / "a.gif", scene, inches=2)
    renderer = Renderer(scene, inches=2)
    background = np.asarray(renderer.background)
    still = (np.stack(list(renderer.frames())) == background).all(axis=(0, 3))
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.size) == (20, renderer.layout.size)
        milliseconds, shown = 0, []
        for i in range(20):
            gif.seek(i)
            milliseconds += gif.info["duration"]
            shown.append(np.asarray(gif.convert("RGB")))
    assert milliseconds == pytest.approx(20 / 30 * 1000, abs=10)
    shown = np.stack(shown)
    assert (shown[:, still] == shown[0, still]).all(), "the background flickers"
    white = still & (background == 255).all(axis=-1)
    assert (shown[:, white] == 255).all()
    for colour in (LEFT, RIGHT):
        assert len(where(shown[5], colour)) > 50, "the sides' colours must survive the palette"
    assert (tmp_path / "a.gif").stat().st_size < 20 * 12_000


def test_mp4_and_contact_sheet(tmp_path):
    scene = scene_of(waving(15), CAMERAS[1])
    write_scene(tmp_path / "a.mp4", scene, inches=2, kilobits=800)
    write_scene(tmp_path / "a.PNG", scene, inches=2)
    layout = Renderer(scene, inches=2).layout
    frames = imageio_ffmpeg.read_frames(tmp_path / "a.mp4")
    meta = next(frames)
    assert (meta["size"], meta["fps"], len(list(frames))) == (layout.size, 50, 15)
    with Image.open(tmp_path / "a.PNG") as sheet:
        fine = Renderer(scene, inches=2, dpi=200).layout
        assert sheet.size == (fine.size[0], fine.top + 5 * fine.side + fine.bottom)


def test_page_needs_no_network_and_escapes_names(tmp_path):
    hostile = "</script><img src=x onerror=alert(1)> {{data}} $x$ <b>"
    poses = scene_of(waving(4), CAMERAS[0]).panels[0].poses_3d
    scene = scene_of(waving(4), CAMERAS[0], subtitle=hostile, first=100, step=5, panels=(Panel(hostile, poses, hostile),))
    write_scene(tmp_path / "a.html", scene)
    text = (tmp_path / "a.html").read_text()
    assert not re.search(r"https?:|//[a-z]+\.|<link|@import|fetch\(", text)
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    data = json.loads(re.search(r'type="application/json">(.*)</script>', text)[1])
    assert (data["first"], data["step"]) == (100, 5)
    assert "`frame ${data.first + index * data.step}`" in text
    assert data["panels"][0]["title"] == data["input"]["subtitle"] == hostile
    poses = np.array(data["panels"][0]["poses"]).reshape(4, 16, 3) / 1000
    assert poses == pytest.approx(scene.standing(scene.panels[0])[:, 0], abs=6e-4)
    write_scene(tmp_path / "a.png", scene, inches=1)  # a dollar sign is no formula


@pytest.mark.parametrize("ending", [".gif", ".mp4", ".png"])
def test_an_interruption_leaves_what_was_there(tmp_path, ending):
    class Interrupting:
        def __iter__(self):
            for i in range(60):
                if i == 14:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield np.zeros((50, 50, 3), np.uint8)

    (tmp_path / f"a{ending}").write_text("before")
    scene = scene_of(waving(60), CAMERAS[0], images=Interrupting())
    with pytest.raises(KeyboardInterrupt):
        write_scene(tmp_path / f"a{ending}", scene, inches=1)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{ending}"]
    assert (tmp_path / f"a{ending}").read_text() == "before"


def test_outputs_that_cannot_be(tmp_path):
    for name, words in (("a.avi", r"\.gif, \.mp4"), ("a", r"\.gif"), ("no/a.gif", "does not exist"), (".gif", r"\.gif, \.mp4")):
        with pytest.raises(DuaError, match=words):
            check_output(tmp_path / name)
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(DuaError, match="is a folder"):
        check_output(tmp_path / "folder.gif")


# --- videos -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Thirty frames, each as bright as its number says."""
    path = tmp_path_factory.mktemp("video") / "in.mp4"
    write_mp4(path, (np.full((48, 64, 3), 8 * i, np.uint8) for i in range(30)), (64, 48), 25, None)
    return path


def test_the_frames_that_are_asked_for(video):
    brightness = [frame.mean() / 8 for frame in Video(look_at(video), count=8, skip=5, step=3)]
    assert brightness == pytest.approx([5 + 3 * i for i in range(8)], abs=0.3)
    assert len(list(Video(look_at(video), count=30))) == 30


def test_videos_that_will_not_do(video, tmp_path):
    with pytest.raises(DuaError, match=r"has 30 frames, 33 are needed for 10 poses.*--viz_limit 9"):
        Video(look_at(video), count=10, skip=5, step=3)
    with pytest.raises(DuaError, match="smaller --viz_skip"):
        Video(look_at(video), count=1, skip=30)
    with pytest.raises(DuaError, match=r"no\.mp4"):
        look_at(tmp_path / "no.mp4")
    for content in (b"", b"no video", video.read_bytes()[:700]):
        (tmp_path / "bad.mp4").write_bytes(content)
        with pytest.raises(DuaError, match="cannot be decoded"):
            look_at(tmp_path / "bad.mp4")


def test_a_video_lies_under_the_joints_that_it_shows():
    """A frame at half the camera's resolution with a spot where the head is: it lies around the drawn head."""
    scene = scene_of(STANDING[None] @ _about(facing(CAMERAS[0])), CAMERAS[0])

    class Spot:
        def __iter__(self):
            image = np.full((501, 500, 3), (90, 160, 90), np.uint8)
            x, y = (scene.joints_2d[0, JOINT_NAMES.index("Head")] / 2).round().astype(int)
            image[y - 7 : y + 8, x - 7 : x + 8] = (255, 0, 255)
            yield image

    with_video = Scene(scene.title, scene.joints_2d, scene.resolution, scene.panels, 50.0, images=Spot())
    renderer = Renderer(with_video)
    picture = panels_of(renderer, next(renderer.frames()))[0].astype(int)
    magenta = np.argwhere((picture[..., 0] > 150) & (picture[..., 1] < 110) & (picture[..., 2] > 150))
    drawn = renderer._joints_2d[0, 0, JOINT_NAMES.index("Head")] - (0, renderer.layout.top)
    assert len(magenta), "the spot is larger than the joint"
    middle = (magenta.min(axis=0) + magenta.max(axis=0)) / 2
    assert middle[::-1] == pytest.approx(drawn, abs=1)
    assert len(where(picture, RIGHT)) > 50


def several(camera, count=6):
    """Two people, the second in the first three frames alone and two metres behind the first."""
    one = scene_of(np.repeat(STANDING[None], count, axis=0), camera)
    joints = np.stack([one.joints_2d, one.joints_2d + 150], axis=1)
    poses = np.stack([one.panels[0].poses_3d, one.panels[0].poses_3d + np.array([0.0, 2.0, 0.0])], axis=1)
    joints[3:, 1] = poses[3:, 1] = np.nan
    return Scene("2D", joints, one.resolution, (Panel("a", poses, uncertainty=np.abs(poses[..., 0])),), 50.0, people=("4", "17"))


def test_somebody_who_is_not_there_is_not_drawn():
    scene = several(CAMERAS[0])
    np.testing.assert_allclose(scene.standing(scene.panels[0])[:3, :, :, 2].min(axis=2), 0, atol=1e-9)
    assert scene.spread == pytest.approx(2)
    renderer = Renderer(scene)
    with_both, alone = (np.asarray(picture) for picture in renderer.frames([0, 4]))
    for there, gone in zip(panels_of(renderer, with_both), panels_of(renderer, alone)):
        for colour in (LEFT, RIGHT):
            assert len(where(gone, colour)) > 50
            assert len(where(there, colour)) > 1.5 * len(where(gone, colour))


def test_who_is_nearer_is_drawn_over_who_is_further():
    """Both stand in one line from the viewer: of the further one no joint is left where the nearer one's head is."""
    scene = several(CAMERAS[0])
    a = np.radians(AZIMUTH)
    behind = np.array([-np.sin(a), np.cos(a), 0.0])
    for order in (1, -1):
        poses = scene.panels[0].poses_3d[:3].copy()
        poses[:, 0], poses[:, 1] = poses[:, 0], poses[:, 0] + order * 0.4 * behind
        tints = np.zeros(poses.shape[:-1])
        tints[:, 1] = 100  # the second is dark
        overlapping = Scene(
            "2D", scene.joints_2d[:3], scene.resolution, (Panel("a", poses, uncertainty=tints),), 50.0, people=("1", "2")
        )
        renderer = Renderer(overlapping)
        picture = panels_of(renderer, next(renderer.frames()))[1]
        head = renderer._joints[0][0, 0 if order == 1 else 1, JOINT_NAMES.index("Head")]
        x, y = np.round(head - (renderer.layout.side, renderer.layout.top)).astype(int)
        assert (picture[y, x].mean() > 200) == (order == 1), picture[y, x]
