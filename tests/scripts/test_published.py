"""SemGCN's released checkpoints, as they are, in the three scripts that need no training of ours."""

import numpy as np
import pytest

from common.datasets.h36m import TEST_SUBJECTS, load_h36m
from common.geometry.camera import normalize_screen_coordinates
from tests.helpers import keypoint_text
from tests.helpers.published_files import checkpoint, linear_model, run_linear_model, run_sem_gcn, sem_gcn, write
from tests.helpers.script_tools import assert_one_line, run_here


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """{name: (file, forward pass)}."""
    folder = tmp_path_factory.mktemp("pretrained")
    made = {
        "martinez": (linear_model(), run_linear_model, "ckpt_linear.pth.tar"),
        "semgcn": (sem_gcn(non_local="nonlocal"), run_sem_gcn, "ckpt_semgcn_nonlocal.pth.tar"),
    }
    return {
        name: (write(folder / file, checkpoint(state)), lambda inputs, state=state, run=run: run(state, inputs))
        for name, (state, run, file) in made.items()
    }


def error_mm(predicted, poses):
    return 1000 * np.linalg.norm(predicted - poses.targets_3d.numpy(), axis=-1).mean(axis=1)


def test_evaluate(released, demo):
    files = [file for file, _ in released.values()]
    process = run_here("evaluate.py", *files, "--data_dir", demo, "--device", "cpu", "--downsample", 20)
    assert process.returncode == 0, process.stderr
    poses = load_h36m(demo, "gt", TEST_SUBJECTS, downsample=20)
    rows = process.stdout.splitlines()[2:4]
    for (name, (_, forward)), row in zip(released.items(), rows, strict=True):
        errors = error_mm(forward(poses.inputs_2d.numpy()), poses)
        by_action = {}
        for sequence in poses.sequences:
            by_action.setdefault(sequence.base_action, []).append(errors[sequence.start : sequence.stop])
        average = np.mean([np.concatenate(of).mean() for of in by_action.values()])
        assert row.split()[:3] == ["h36m", "-", name]
        assert f"{average:.1f}" in row.split(), row
        assert "as published" in row
    assert process.stderr.count("in the layout of SemGCN's repository") == 2


def test_viz(released, demo, tmp_path):
    (linear, forward), (gcn, _) = released.values()
    who = ("--viz_subject", "S11", "--viz_action", "Kick", "--viz_limit", 4, "--viz_output", tmp_path / "kick.png")
    process = run_here(
        "viz.py", "--evaluate", linear, "--compare", gcn, "--data_dir", demo, *who, "--architecture", "linear", "--device", "cpu"
    )
    assert process.returncode == 2
    assert "holds 'semgcn', which is --architecture gcn" in process.stderr.splitlines()[-1]
    process = run_here("viz.py", "--evaluate", linear, "--compare", gcn, "--data_dir", demo, *who, "--device", "cpu")
    assert process.returncode == 0, process.stderr
    poses = load_h36m(demo, "gt", ("S11",), "Kick").select(lambda sequence: sequence.camera == "54138969")
    expected = error_mm(forward(poses.inputs_2d.numpy()), poses)[:4].mean()
    assert f"Martinez, H3.6M: MPJPE {expected:.1f} mm" in process.stdout


def test_predict(released, tmp_path):
    pixels = keypoint_text.by_rule(np.random.default_rng(3).uniform(300, 700, (5, 16, 2)))
    (tmp_path / "a.json").write_text(keypoint_text.mmpose({i: [keypoint_text.in_order(pixels, "coco")[i]] for i in range(5)}))
    for file, forward in released.values():
        options = ("--image_size", 1000, 1002, "--device", "cpu", "--out", tmp_path / "a.npz")
        process = run_here("predict.py", tmp_path / "a.json", "--checkpoint", file, *options)
        assert process.returncode == 0, process.stderr
        with np.load(tmp_path / "a.npz") as saved:
            expected = forward(normalize_screen_coordinates(pixels, 1000, 1002))
            np.testing.assert_allclose(saved["poses_3d"], expected, atol=1e-5)


def test_a_training_script_says_who_takes_it(released, demo):
    process = run_here("main_prob.py", "--evaluate", released["martinez"][0], "--data_dir", demo, "--device", "cpu")
    assert_one_line(process, "experiment 'published'", "evaluate.py, viz.py and predict.py take it")


@pytest.mark.parametrize("options", [(), ("--mc_dropout", 2)])
def test_their_uncertainty_is_not_known(released, demo, options):
    file, _ = released["martinez"]
    process = run_here("evaluate.py", file, "--data_dir", demo, "--device", "cpu", "--uncertainty", *options)
    assert process.returncode == 2
    assert "another project's weights: no uncertainty estimator" in process.stderr.splitlines()[-1]
