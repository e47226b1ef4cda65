"""What a notebook does with a checkpoint: the same numbers as the evaluation's, whoever's 2D it is."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from common.datasets.h36m import load_h36m
from common.datasets.surreal import load_surreal
from common.datasets.views import canonical
from common.errors import DuaError
from common.evaluation.evaluate import lift, predict
from common.evaluation.metrics import mpjpe
from common.evaluation.test_time import TestTime
from common.files.arrays import load_arrays
from common.geometry.camera import image_coordinates
from common.geometry.skeleton import H36M_JOINTS_TO_16, MIRROR
from common.predictor import Predictor
from common.training.checkpoint import load_checkpoint, rebuild_networks, save_checkpoint
from models import build
from models.domain_norm import DomainBatchNorm1d
from tests.conftest import ROOT
from tests.helpers import keypoint_text
from tests.helpers.script_tools import QUICK, run_here, trained


@pytest.fixture(scope="module")
def run(quick_run):
    """The run folder of a short training of `main_prob.py`."""
    return quick_run


@pytest.fixture(scope="module")
def predictor(run):
    return Predictor.load(run, "cpu")


@pytest.fixture(scope="module")
def clip(demo):
    """(sequence, (T, J, 2) pixels as the file has them, (T, 16, 2) inputs as the loader makes them)."""
    poses = load_h36m(demo, "gt", ["S9"])
    sequence = poses.sequences[0]
    pixels = load_arrays(demo / "data_2d_h36m_gt.npz")["positions_2d"]["S9"][sequence.action][0]
    return sequence, pixels, poses.inputs_2d[sequence.start : sequence.stop]


def test_the_same_bits_as_the_evaluation(run, predictor, clip):
    sequence, pixels, inputs_2d = clip
    networks = rebuild_networks(load_checkpoint(run / "ckpt_best.pth.tar"), run)
    poses_3d, uncertainty = predict(networks, inputs_2d, "cpu")
    ours = pixels[:, list(H36M_JOINTS_TO_16[pixels.shape[1]])]
    predicted = predictor(ours, sequence.resolution)
    assert np.array_equal(predicted.poses_3d, poses_3d.numpy())
    assert np.array_equal(predicted.uncertainty, uncertainty.numpy())
    assert not predicted.missing.any()
    calibration = predictor.calibration
    assert np.array_equal(predicted.uncertainty_mm, calibration.millimetres(uncertainty, poses_3d).numpy())
    assert 1 < predicted.uncertainty_mm[:, 1:].mean() < 2000
    again = predictor(torch.from_numpy(ours), list(sequence.resolution), skeleton="h36m", confidences=np.ones(ours.shape[:2]))
    assert np.array_equal(again.poses_3d, predicted.poses_3d)


def test_detectors_orders_give_the_same_poses(predictor, clip):
    sequence, pixels, _ = clip
    ours = keypoint_text.by_rule(pixels[:, list(H36M_JOINTS_TO_16[pixels.shape[1]])].astype(float))
    expected = predictor(ours, sequence.resolution)
    for order in keypoint_text.ORDERS:
        predicted = predictor(keypoint_text.in_order(ours, order), sequence.resolution, skeleton=order)
        np.testing.assert_allclose(predicted.poses_3d, expected.poses_3d, atol=1e-5, err_msg=order)
        np.testing.assert_allclose(predicted.keypoints_2d, ours, atol=1e-3)


def test_arrays_as_users_have_them(predictor, clip, capsys):
    """Confidence in a third column, a single frame, seventeen joints without a name, shares of the image: each but the first is said."""
    sequence, pixels, _ = clip
    ours = keypoint_text.by_rule(pixels[:, list(H36M_JOINTS_TO_16[pixels.shape[1]])].astype(float))
    coco = keypoint_text.in_order(ours, "coco")
    lost = np.ones(coco.shape[:2])
    lost[3:6, 9] = 0  # left wrist
    gapped = np.where(lost[..., None] == 0, np.nan, coco)
    expected = predictor(gapped, sequence.resolution, "coco")
    assert expected.missing.sum() == 3
    three = np.concatenate([np.where(lost[..., None] == 0, 7.0, coco), lost[..., None]], axis=-1)
    for keypoints in (three, np.where(lost[..., None] == 0, 0, coco), np.where(lost[..., None] == 0, -1, coco)):
        predicted = predictor(keypoints, sequence.resolution, "coco")
        assert np.array_equal(predicted.missing, expected.missing)
        assert np.array_equal(predicted.poses_3d, expected.poses_3d)
    assert capsys.readouterr().err == ""

    alone = predictor(coco[0], sequence.resolution, "coco", confidences=lost[0])
    np.testing.assert_allclose(alone.poses_3d, predictor(coco[:1], sequence.resolution, "coco").poses_3d)
    assert alone.poses_3d.shape == (1, 16, 3)

    predicted = predictor(three, sequence.resolution)
    assert np.array_equal(predicted.poses_3d, expected.poses_3d)
    assert "taken for COCO's" in capsys.readouterr().err
    with pytest.raises(DuaError, match="name their order"):
        predictor(keypoint_text.in_order(ours, "h36m17"), sequence.resolution)

    predicted = predictor(gapped / sequence.resolution, sequence.resolution, "coco")
    np.testing.assert_allclose(predicted.poses_3d, expected.poses_3d, atol=1e-5)
    assert "multiplied by its 1000 x 1002 pixels" in capsys.readouterr().err
    with pytest.raises(DuaError, match="3D"):
        predictor(np.random.default_rng(0).normal(0, 0.5, (5, 16, 3)), sequence.resolution)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_poses(run, predictor, clip):
    sequence, pixels, _ = clip
    ours = pixels[:, list(H36M_JOINTS_TO_16[pixels.shape[1]])]
    there = Predictor.load(run, "cuda")(ours, sequence.resolution)
    here = predictor(ours, sequence.resolution)
    np.testing.assert_allclose(there.poses_3d, here.poses_3d, atol=1e-4)
    np.testing.assert_allclose(there.uncertainty_mm, here.uncertainty_mm, atol=1)


def test_what_a_checkpoint_lacks_is_none(run, tmp_path, clip):
    sequence, _, _ = clip
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    pixels = np.random.default_rng(0).uniform(300, 700, (1, 16, 2))
    save_checkpoint(tmp_path / "no_calibration", {**checkpoint, "calibration": None})
    predicted = Predictor.load(tmp_path / "no_calibration", "cpu")(pixels, sequence.resolution)
    assert predicted.uncertainty is not None
    assert predicted.uncertainty_mm is None
    networks = {"lifter": checkpoint["networks"]["lifter"]}
    save_checkpoint(tmp_path / "plain", {**checkpoint, "networks": networks, "calibration": None})
    predicted = Predictor.load(tmp_path / "plain", "cpu")(pixels, sequence.resolution)
    assert (predicted.uncertainty, predicted.uncertainty_mm) == (None, None)
    assert predicted.poses_3d.shape == (1, 16, 3)


def test_a_domain_has_its_statistics(run, tmp_path, clip):
    sequence, _, _ = clip
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    description = checkpoint["networks"]["lifter"] | {"domain_bn": True}
    network = build(description)
    for norm in network.modules():
        if isinstance(norm, DomainBatchNorm1d):
            norm.target.running_mean.fill_(1.0)
    networks = {"networks": {"lifter": description}, "weights": {"lifter": network.state_dict()}, "calibration": None}
    save_checkpoint(tmp_path / "both", checkpoint | networks)
    pixels = np.random.default_rng(0).uniform(300, 700, (2, 16, 2))
    source, target = (
        Predictor.load(tmp_path / "both", "cpu", domain)(pixels, sequence.resolution).poses_3d for domain in ("source", "target")
    )
    assert np.abs(source - target).max() > 1e-2
    assert np.array_equal(source, Predictor.load(tmp_path / "both", "cpu")(pixels, sequence.resolution).poses_3d)


def test_exchanged_sides_are_said_and_exchanged_back_when_asked(predictor, clip, capsys):
    sequence, pixels, _ = clip
    ours = pixels[:30, list(H36M_JOINTS_TO_16[pixels.shape[1]])].astype(float)
    sure = np.random.default_rng(0).uniform(0.5, 1, ours.shape[:2])
    sure[11, 2] = 0  # unseen is what is called the right knee, which is the left one
    swapped = ours.copy()
    swapped[10:13] = ours[10:13][:, list(MIRROR)]
    expected = predictor(ours, sequence.resolution, confidences=np.where(np.arange(16) == 5, sure[:, [2]], 1))
    assert capsys.readouterr().err == ""
    for fix_swaps in (False, True):
        predicted = predictor(swapped, sequence.resolution, confidences=sure, fix_swaps=fix_swaps, frames=np.arange(7, 37))
        assert "left and right seem exchanged in 3 of 30 frames (17-19)" in capsys.readouterr().err
        assert predicted.exchanged.all(axis=1).nonzero()[0].tolist() == [10, 11, 12]
    np.testing.assert_allclose(predicted.keypoints_2d, expected.keypoints_2d, atol=1e-3)
    np.testing.assert_allclose(predicted.poses_3d, expected.poses_3d, atol=1e-5)
    assert predicted.missing[11, 5]
    assert predicted.missing.sum() == 1


def test_what_cannot_be_predicted_is_refused(run, predictor, converter, clip, tmp_path):
    checkpoint = load_checkpoint(run / "ckpt_best.pth.tar")
    save_checkpoint(tmp_path / "other", checkpoint | {"skeleton": {**checkpoint["skeleton"], "joints": ["Hip"] * 16}})
    with pytest.raises(DuaError, match="other joints"):
        Predictor.load(tmp_path / "other")
    with pytest.raises(DuaError, match=r"experiment 'conversion' \(converter\).* no lifting network"):
        Predictor.load(converter)
    sequence, pixels, inputs_2d = clip
    ours = pixels[:, list(H36M_JOINTS_TO_16[pixels.shape[1]])]
    for keypoints, size, words in (
        (inputs_2d.numpy(), sequence.resolution, "between -1.5 and 1.5"),
        (ours, (100, 80), "outside the image of 100 x 80 pixels.*image_size"),
        (ours, (0, 100), "sides of 1 to"),
        (ours, 1000, "width, height"),
        (ours[:0], sequence.resolution, "no frames"),
        (ours * np.nan, sequence.resolution, "no joint is seen"),
    ):
        with pytest.raises(DuaError, match=words):
            predictor(keypoints, size)


def test_a_notebook_in_a_folder_can_import_it(run):
    """Notebooks run in their own folder; paths of checkpoints may start at the repository all the same."""
    code = (
        "import sys; sys.path[:0] = ['..', '.']\n"
        "from common.predictor import Predictor\n"
        "from common.errors import DuaError\n"
        f"print(Predictor.load({str(run)!r}).definition)\n"
        "try: Predictor.load('checkpoint')\n"
        "except DuaError as error: print(error)\n"
    )
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "data", capture_output=True, text=True, timeout=120)
    assert process.stdout.startswith("h36m\n"), process.stderr
    assert f"{ROOT / 'checkpoint'} has no ckpt_best.pth.tar" in process.stdout


def test_networks_of_turned_cameras_assume_a_lens_or_are_given_one_and_turn_back(demo, tmp_path, capsys):
    """`--align canonical`: the same poses as the evaluation's, in the camera's own axes; `--tta` averages with the mirror image."""
    arguments = ("--dua", "--no_converter", "--no_domain", "--align", "canonical", "--tta", "--data_dir", demo)
    run, _ = trained(tmp_path / "runs", run_here("train_surreal.py", *arguments, "--checkpoint", tmp_path / "runs", *QUICK))
    predictor = Predictor.load(run, "cpu")
    poses = load_surreal(demo, "test").select(lambda sequence: sequence.action == "Kick")
    pixels = image_coordinates(poses.inputs_2d.double().numpy(), 320, 240)
    assumed = predictor(pixels, (320, 240))
    (line,) = capsys.readouterr().err.splitlines()
    assert str(run) in line
    assert "--align canonical" in line
    assert "55 degrees along the picture's longer side are assumed; --fov DEGREES or --focal_length PIXELS" in line
    assert assumed.focal_length == pytest.approx(160 / np.tan(np.radians(27.5)))
    predictor(pixels, (320, 240))
    assert "assumed" not in capsys.readouterr().err  # once is enough, also of several people
    given = predictor(pixels, (320, 240), fov=55)
    assert np.array_equal(given.poses_3d, assumed.poses_3d)
    assert "assumed" not in capsys.readouterr().err
    for focal_length in (-5, 0, float("nan"), float("inf")):
        with pytest.raises(DuaError, match=f"focal_length {focal_length:g}: a positive number"):
            predictor(pixels, (320, 240), focal_length=focal_length)
    predicted = predictor(pixels, (320, 240), focal_length=600)
    assert (predicted.focal_length, predicted.image_size) == (600, (320, 240))
    assert np.abs(predicted.poses_3d - assumed.poses_3d).max() > 1e-3
    expected, uncertainty = lift(
        predictor.lifter.networks, poses, torch.device("cpu"), test_time=TestTime(canonical=True, flip=True)
    )
    assert np.abs(predicted.poses_3d - expected.numpy()).max() < 1e-4
    assert np.abs(predicted.uncertainty - uncertainty.numpy()).max() < 1e-4
    # Turned back, it is not what the network said of the turned picture.
    turned, _ = predict(predictor.lifter.networks, canonical(poses).inputs_2d, "cpu", flip=True)
    away = poses.inputs_2d[:, 0].norm(dim=1) > 0.3
    assert away.any()
    assert (turned - expected)[away].abs().max() > 0.005
    assert mpjpe(turned, canonical(poses).targets_3d).mean() == pytest.approx(
        float(mpjpe(expected, poses.targets_3d).mean()), rel=1e-4
    )
