"""`viz.py` as its users run it."""

import re
import signal
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from common.adaptation.converter import convert_labels
from common.datasets.clips import load_h36m_clip, load_surreal_named
from common.datasets.h36m import load_h36m
from common.datasets.surreal import surreal_clips
from common.errors import DuaError
from common.evaluation.evaluate import evaluate
from common.prediction.lifter import load_lifter
from common.rendering.encoders import write_mp4
from common.rendering.panels import prediction_panels, short_names
from common.training.checkpoint import BEST, checkpoint_file, load_checkpoint, rebuild_networks, save_checkpoint
from tests.conftest import run_script
from tests.helpers.script_tools import QUICK, assert_one_line, change_positions, run_here, start, trained, wait_for

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def runs(demo, converter, tmp_path_factory):
    """Run folders: {name: folder} of short trainings with different skeletons."""
    folder = tmp_path_factory.mktemp("runs")
    commands = {
        "prob": ("main_prob.py",),
        "plain": ("train_surreal.py", "--dua", "--no_converter", "--no_uncertainty", "--no_domain"),
        "dua": ("train_surreal.py", "--dua", "--converter", converter),
    }
    found = {"converter": converter}
    for name, command in commands.items():
        process = run_here(*command, "--data_dir", demo, *QUICK, "--checkpoint", folder / name)
        found[name], _ = trained(folder / name, process)
    return found


def viz(demo, output, *arguments, subject="S11", action="Kick"):
    who = () if subject is None else ("--viz_subject", subject)
    return run_here(
        "viz.py", "--data_dir", demo, *who, "--viz_action", action, "--viz_output", output, "--device", "cpu", *arguments
    )


def best(run):
    path = run / "ckpt_best.pth.tar"
    return load_checkpoint(path), rebuild_networks(load_checkpoint(path), path)


def test_the_command_and_its_error_is_the_evaluations(runs, demo, tmp_path):
    options = ("--evaluate", runs["prob"], "--viz_size", 3, "--architecture", "linear")
    process = viz(demo, tmp_path / "a.gif", *options)
    assert process.returncode == 0, process.stderr
    poses = load_h36m(demo, "gt", ("S11",), "Kick").select(lambda sequence: sequence.camera == "54138969")
    with Image.open(tmp_path / "a.gif") as gif:
        assert (gif.n_frames, gif.size[0]) == (len(poses), 900)
    error = evaluate(best(runs["prob"])[1], poses, CPU).average["mpjpe"]
    assert process.stdout.splitlines() == [f"Martinez, H3.6M: MPJPE {error:.1f} mm", str(tmp_path / "a.gif")]
    # Some of the frames: the error is of those.
    process = viz(demo, tmp_path / "a.png", *options, "--viz_limit", 7, "--viz_downsample", 3, "--viz_camera", 2)
    assert process.returncode == 0, process.stderr
    poses = load_h36m(demo, "gt", ("S11",), "Kick", 3).select(lambda sequence: sequence.camera == "58860488")
    error = np.mean(np.linalg.norm(predicted(runs["prob"], poses)[:7] - poses.targets_3d.numpy()[:7], axis=-1)) * 1000
    assert f"MPJPE {error:.1f} mm" in process.stdout


def predicted(run, poses):
    with torch.no_grad():
        return best(run)[1]["lifter"](poses.inputs_2d)[0].numpy()


def test_compared_checkpoints_stand_side_by_side(runs, demo, tmp_path):
    process = viz(demo, tmp_path / "a.html", "--evaluate", runs["plain"], "--compare", runs["dua"], runs["prob"])
    assert process.returncode == 0, process.stderr
    plain, dua, prob, _ = process.stdout.splitlines()
    assert re.fullmatch(r"Martinez, SURREAL -> H3.6M, no adaptation: MPJPE [\d.]+ mm to raw labels", plain)
    assert re.fullmatch(r"Martinez, SURREAL -> H3.6M, DUA: MPJPE [\d.]+ mm", dua)
    assert prob.startswith("Martinez, H3.6M: MPJPE")
    titles = re.findall(r'"title":"([^"]*)"', (tmp_path / "a.html").read_text())
    assert titles[-2:] == ["Ground truth", "2D input (gt)"]
    assert len(titles) == 5
    lifters = [load_lifter(run, CPU) for run in (runs["prob"], runs["prob"])]
    assert short_names(lifters) == [f"Martinez, H3.6M, {runs['prob'].name}"] * 2


def test_labels_pass_through_the_converter_and_the_titles_say_so(runs, demo, tmp_path):
    """SURREAL's labels for a network that predicts Human3.6M's skeleton; beside it one that predicts SMPL's."""
    process = viz(
        demo, tmp_path / "a.png", "--compare", runs["dua"], runs["plain"], "--dataset", "surreal", subject=None, action="dancea"
    )
    assert process.returncode == 0, process.stderr
    clip = load_surreal_named(demo, "DanceA")
    networks = best(runs["dua"])[1]
    error = evaluate(networks, convert_labels(clip.poses, networks["converter"]), CPU).average["mpjpe"]
    raw = evaluate(best(runs["plain"])[1], clip.poses, CPU).average["mpjpe"]
    assert f"DUA: MPJPE {error:.1f} mm to converted labels\n" in process.stdout
    assert f"no adaptation: MPJPE {raw:.1f} mm\n" in process.stdout
    lifters = [load_lifter(runs[name], CPU) for name in ("dua", "plain")]
    panels, unit = prediction_panels(lifters, ["a", "b"], clip.poses, clip.camera)
    assert [panel.title for panel in panels[:2]] == ["a", "b"]
    assert [(panel.title, panel.subtitle) for panel in panels[2:]] == [
        ("Ground truth", "converted to H3.6M's joints"),
        ("Ground truth", "SMPL's joints"),
    ]
    assert unit == "mm"  # by the checkpoint's calibration
    assert panels[1].uncertainty is None
    assert panels[0].uncertainty.shape == (len(clip.poses), 16)
    assert 0 <= panels[0].uncertainty.min() < panels[0].uncertainty.max() <= 20_000
    uncalibrated = load_lifter(runs["dua"], CPU)
    uncalibrated.checkpoint["calibration"] = None
    (panel, *_), unit = prediction_panels([uncalibrated], [""], clip.poses, clip.camera)
    assert unit == "%"
    assert 0 <= panel.uncertainty.min() < panel.uncertainty.max() <= 100


def test_folders_of_runs_and_data_of_runs(runs, demo, tmp_path, monkeypatch):
    """A folder of runs stands for its newest, and where no data are named a run's own are taken."""
    clip = (
        "--viz_subject",
        "S11",
        "--viz_action",
        "Kick",
        "--viz_limit",
        4,
        "--device",
        "cpu",
        "--viz_output",
        tmp_path / "a.html",
    )
    process = run_here("viz.py", "--evaluate", runs["prob"].parent, *clip)
    assert process.returncode == 0, process.stderr
    newest, data, error, _ = process.stdout.splitlines()
    assert newest == f"{runs['prob'].parent}: its newest run is taken, {runs['prob'].name}"
    assert data == f"data: {demo}"
    assert error in viz(demo, tmp_path / "b.html", "--evaluate", runs["prob"], "--viz_limit", 4).stdout

    def trained_from(folder):
        name = tmp_path / f"{folder.name}.pth.tar"
        checkpoint = load_checkpoint(runs["prob"] / BEST)
        save_checkpoint(name, checkpoint | {"arguments": checkpoint["arguments"] | {"data_dir": str(folder)}})
        return name

    (tmp_path / "here").mkdir()
    here, gone = trained_from(tmp_path / "here"), trained_from(tmp_path / "gone")
    both = run_here("viz.py", "--compare", runs["prob"], here, *clip)
    assert_one_line(both, f"were trained from {' and '.join(sorted(map(str, (demo, tmp_path / 'here'))))}", "--data_dir")
    # From another machine: said, and the usual place is looked into.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(demo)
    process = run_here("viz.py", "--evaluate", gone, *clip)
    assert process.returncode == 0, process.stderr
    moved, data, other_error, _ = process.stdout.splitlines()
    assert moved.startswith(f"{tmp_path / 'gone'}, which {gone} was trained from, is not here: data is looked for in data/")
    assert (data, other_error) == ("data: data", error)
    # The demo is built when it is first asked for, by all scripts.
    built = []
    monkeypatch.setattr("common.mocap.demo.DEMO", tmp_path / "gone")
    monkeypatch.setattr("common.mocap.demo.subprocess.run", lambda *a, **k: built.append(a) or mock.Mock(returncode=0))
    for words in (("viz.py", "--evaluate", gone, *clip), ("evaluate.py", gone), ("main_prob.py", "--evaluate", gone)):
        assert_one_line(run_here(*words), str(tmp_path / "gone"), "does not exist")
        assert built
        built.clear()


def test_names_are_found_or_listed(demo, tmp_path):
    assert load_h36m_clip(demo, "s11", "kick").name == "S11 Kick, camera 0"
    with pytest.raises(DuaError, match=r"no action 'Fly' of S11 .*; there are: DanceA, Jump, Kick, Run"):
        load_h36m_clip(demo, "S11", "Fly")
    with pytest.raises(DuaError, match=r"no subject 'S2' .*S11"):
        load_h36m_clip(demo, "S2", "Kick")

    def rename(positions):
        positions["S11"]["SittingDown 1"] = positions["S11"].pop("Kick")

    first = change_positions(demo, tmp_path / "a", "data_3d_h36m.npz", rename)
    renamed = change_positions(first, tmp_path / "b", "data_2d_h36m_gt.npz", rename)
    clip = load_h36m_clip(renamed, "S11", "SittingDown", 3)
    assert clip.name == "S11 SittingDown 1, camera 3"
    assert clip.camera.name == clip.poses.sequences[0].camera == "60457274"
    run = next(name for name in surreal_clips(demo) if name.startswith("Run/"))
    assert load_surreal_named(demo, run).poses.sequences[0].action == "Run"
    assert torch.equal(load_surreal_named(demo, "run").poses.inputs_2d, load_surreal_named(demo, run.upper()).poses.inputs_2d)
    assert len(load_surreal_named(demo, "run", downsample=4).poses) == -(-len(load_surreal_named(demo, "run").poses) // 4)
    with pytest.raises(DuaError, match=r"no clip or motion 'Fly' .*; there are: .*Kick"):
        load_surreal_named(demo, "Fly")


def test_bad_input_is_one_line(runs, demo, tmp_path):
    good = ("--evaluate", runs["prob"])
    gif = tmp_path / "a.gif"
    assert_one_line(viz(demo, tmp_path / "a.avi", *good), "a.avi", ".mp4")
    assert_one_line(viz(demo, tmp_path / "no" / "a.gif", *good), "does not exist")
    assert_one_line(viz(demo, gif), "--evaluate", "--compare")
    assert_one_line(viz(demo, gif, "--evaluate", tmp_path / "no.pth.tar"), "no.pth.tar does not exist")
    assert_one_line(viz(demo, gif, "--evaluate", runs["converter"]), "no lifting network")
    assert_one_line(viz(demo, gif, *good, "--architecture", "gcn"), "--architecture linear")
    assert_one_line(viz(demo, gif, *good, "--titles", "a", "b"), "--titles names 2 of 1")
    assert_one_line(viz(demo, gif, *good, "--viz_limit", 0), "--viz_limit 0")
    assert_one_line(viz(demo, gif, *good, "--viz_camera", 4), "--viz_camera 4")
    assert_one_line(viz(demo, gif, *good, action="Fly"), "no action 'Fly'", "Kick")
    assert_one_line(viz(demo, gif, *good, subject=None), "--viz_subject is needed")
    assert_one_line(viz(demo, gif, *good, "--dataset", "surreal"), "--viz_subject belongs to Human3.6M")
    torch.save({"format": "other"}, tmp_path / "other.pth.tar")
    assert_one_line(viz(demo, gif, "--compare", tmp_path / "other.pth.tar"), "other.pth.tar")
    checkpoint = load_checkpoint(runs["prob"] / "ckpt_best.pth.tar")
    checkpoint["skeleton"]["joints"] = checkpoint["skeleton"]["joints"][::-1]
    torch.save(checkpoint, tmp_path / "other.pth.tar")
    assert_one_line(viz(demo, gif, *good, "--compare", tmp_path / "other.pth.tar"), "other.pth.tar", "another skeleton")
    write_mp4(tmp_path / "short.mp4", (np.zeros((32, 32, 3), np.uint8) for _ in range(9)), (32, 32), 25, None)
    assert_one_line(viz(demo, gif, *good, "--viz_video", tmp_path / "short.mp4"), "short.mp4 has 9 frames", "--viz_limit 9")
    own = viz(demo, tmp_path / "short.mp4", *good, "--viz_video", tmp_path / "short.mp4")
    assert_one_line(own, "is the video that --viz_video reads")
    assert not gif.exists()


def test_a_killed_rendering_leaves_nothing(runs, demo, tmp_path):
    """As `kill` does it to the process itself, once it has begun to write."""
    options = ("--viz_subject", "S11", "--viz_action", "DanceA", "--viz_size", 6, "--data_dir", demo, "--device", "cpu")
    process = start("viz.py", "--evaluate", runs["prob"], *options, "--viz_output", tmp_path / "a.gif")
    wait_for(lambda: any(tmp_path.iterdir()) or process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.campaign
def test_the_benchmark_runs_and_is_won(demo):
    process = run_script("benchmarks/render_speed.py", "--data_dir", demo, "--frames", 20)
    assert process.returncode == 0, process.stderr
    assert float(re.search(r"ratio ([\d.]+)", process.stdout)[1]) > 3, process.stdout


def test_a_video_that_the_encoder_could_not_finish_is_no_result(demo, runs, tmp_path, monkeypatch):
    """A full temporary folder: the file is there, and cut short."""
    output = tmp_path / "old.mp4"
    output.write_bytes(b"older")
    monkeypatch.setattr("common.rendering.encoders._frames_in", lambda path: 3)
    process = viz(demo, output, "--evaluate", runs["prob"], "--viz_limit", 5)
    assert_one_line(process, "no whole video", "is /")
    assert output.read_bytes() == b"older"


def test_extreme_rates(demo, runs, tmp_path):
    good = ("--evaluate", runs["prob"], "--viz_limit", 4)
    for fps in ("1e9", "nan", "0", "0.001"):
        assert_one_line(viz(demo, tmp_path / "a.gif", *good, "--fps", fps), "--fps", "0.01 to 1000")
    process = viz(demo, tmp_path / "a.gif", *good, "--fps", 0.01)
    assert process.returncode == 0, process.stderr
    (tmp_path / "k.gif").write_bytes(b"older")
    assert_one_line(viz(demo, tmp_path / "k.gif", *good, "--viz_video", tmp_path / "no.mp4"), "no.mp4 does not exist")


def test_damaged_checkpoints(demo, runs, tmp_path):
    good = load_checkpoint(checkpoint_file(runs["prob"], BEST))
    changes = {"arguments": None, "networks": [], "skeleton": "h36m", "source": None, "training": 3}
    for key, value in changes.items():
        save_checkpoint(tmp_path / "bad.pth.tar", good | {key: value})
        assert_one_line(viz(demo, tmp_path / "a.gif", "--evaluate", tmp_path / "bad.pth.tar"), "bad.pth.tar", key)
    for tensor in good["weights"]["lifter"].values():
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))
    save_checkpoint(tmp_path / "bad.pth.tar", good)
    assert_one_line(viz(demo, tmp_path / "a.gif", "--evaluate", tmp_path / "bad.pth.tar"), "NaN or infinite", "diverged")
