"""SURREAL that stays in its file: the same poses, the same errors, the same refusals as in memory; and a builder without end."""

import json
import os
from dataclasses import replace
from unittest import mock

import h5py
import numpy as np
import pytest
import torch

from common.datasets import streamed, surreal_stream
from common.datasets.block_batches import BlockBatches
from common.datasets.poses import split_validation
from common.datasets.surreal import load_surreal
from common.datasets.surreal_stream import open_surreal, open_surreal_2d
from common.errors import DuaError
from common.evaluation import evaluate as evaluation
from common.evaluation.evaluate import evaluate
from common.evaluation.test_time import TestTime
from common.mocap import domain_stream
from common.mocap.motion import load_deepmimic_clips
from common.mocap.takes import FPS, Clips
from models import build
from tests.conftest import ROOT
from tests.helpers.script_tools import QUICK, SMALL, assert_one_line, assert_same_bits, attempt, copy_data, only_run, run_here

MANY = 9000


def build_demo(folder, *options):
    process = run_here("data/prepare_data_demo.py", "--out", folder, "--takes", 1, *options)
    assert process.returncode == 0, process.stderr
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A domain that the builder made to size."""
    return build_demo(tmp_path_factory.mktemp("large"), "--poses", MANY, "--workers", 1)


# --- the builder --------------------------------------------------------------------------------------------------------


def test_the_builder_makes_as_many_poses_as_are_asked_for_whatever_the_workers(large, tmp_path):
    again = build_demo(tmp_path / "again", "--poses", MANY, "--workers", 3)
    for name in ("surreal_train.h5", "surreal_test.h5", "dataset.json"):
        assert (large / name).read_bytes() == (again / name).read_bytes(), name
    assert len(load_surreal(large)) == MANY
    described = json.loads((large / "dataset.json").read_text())["surreal"]["sequences"]
    frames = {split: sum(e["frames"] for e in described if e["split"] == split) for split in ("train", "validation", "test")}
    assert frames["train"] + frames["validation"] == MANY
    assert 0.05 < frames["validation"] / MANY < 0.25
    assert len(described) < 100 < sum(entry["films"] for entry in described)  # a line for a motion, however many clips there are


def test_a_made_domain_is_split_by_clip_and_looks_like_the_demo(large, demo):
    train, validation = split_validation(load_surreal(large))
    assert {sequence.action for sequence in validation.sequences} == {"Roll"}
    assert {sequence.action for sequence in train.sequences} == {"Spin", "Cartwheel", "Backflip", "GetupFacedown"}
    with h5py.File(large / "surreal_train.h5") as file:
        assert len(set(file["clips"].asstr()[()])) == len(file["clips"]) > 50
    ours, plain = load_surreal(large), load_surreal(demo)
    assert torch.allclose(ours.inputs_2d.std(0), plain.inputs_2d.std(0), rtol=0.5)
    assert torch.allclose(ours.targets_3d.std(0), plain.targets_3d.std(0), rtol=0.5)
    assert ours.targets_3d.unique(dim=0).shape[0] > 0.99 * MANY  # no take comes twice


def test_clips_that_share_an_action_stay_on_their_side(tmp_path):
    """As BVH files do: many clips of walking in training, validation and test."""
    motions = load_deepmimic_clips(ROOT / "data" / "demo" / "motion.h5", FPS)
    motions = {name: replace(motion, action="Move") for name, motion in motions.items()}
    clips = Clips(train=("walk", "spin", "kick"), validation=("roll", "run"), test=("jump", "crawl"))
    described = domain_stream.build_surreal_stream(motions, clips, 3000, 3, 0, tmp_path, workers=1)
    (tmp_path / "dataset.json").write_text(json.dumps({"surreal": described}))
    names = [entry["action"] for entry in described["sequences"]]
    assert len(names) == len(set(names)) == 5 + 2 * 3
    train, validation = split_validation(load_surreal(tmp_path))
    assert len(train) + len(validation) == 3000
    frames = {entry["action"]: entry["frames"] for entry in described["sequences"]}
    for poses, split in ((train, "train"), (validation, "validation"), (load_surreal(tmp_path, "test"), "test")):
        assert {s.action for s in poses.sequences} == {e["action"] for e in described["sequences"] if e["split"] == split}
        assert len(poses) == sum(frames[action] for action in {s.action for s in poses.sequences})


@pytest.mark.parametrize(
    ("options", "word"),
    [(("--poses", 0), "at least 1"), (("--poses", 300), "too few"), (("--workers", 0), "--workers"), (("--poses", 10**13), "GB")],
)
def test_sizes_that_cannot_be_made_are_refused(tmp_path, options, word):
    process = run_here("data/prepare_data_demo.py", "--out", tmp_path, "--takes", 1, "--workers", 1, *options)
    assert_one_line(process, word)
    assert not (tmp_path / "surreal_train.h5").exists()


def test_a_worker_that_dies_is_said(tmp_path):
    with mock.patch.object(domain_stream, "_perform", _die):
        process = run_here("data/prepare_data_demo.py", "--out", tmp_path, "--takes", 1, "--workers", 2, "--poses", 5000)
    assert_one_line(process, "a process that made poses died")
    assert not list(tmp_path.glob("*surreal*"))


def _die(*_):
    os._exit(1)


# --- reading ------------------------------------------------------------------------------------------------------------


def test_what_is_streamed_is_what_memory_holds(large):
    for downsample, actions in ((1, "*"), (3, "*"), (2, "Spin,Roll")):
        memory = load_surreal(large, downsample=downsample, actions=actions)
        stream = open_surreal(large, downsample=downsample, actions=actions, stream="on")
        assert stream.sequences == memory.sequences
        for ours, theirs in zip(split_validation(stream), split_validation(memory)):
            parts = list(ours.chunks(1000))
            assert ours.sequences == theirs.sequences
            for name in ("inputs_2d", "targets_3d", "roots_3d"):
                assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(theirs, name))
            few = ours.thinned(100)
            assert 50 < len(few) <= 100
            assert torch.equal(few.targets_3d, theirs.targets_3d[:: -(-len(theirs) // 100)])
            assert [s.action for s in few.sequences for _ in range(s.start, s.stop)] == [
                s.action for s in theirs.sequences for _ in range(s.start, s.stop)
            ][:: -(-len(theirs) // 100)]


def test_auto_streams_what_is_large(large, capsys):
    assert not isinstance(open_surreal(large), streamed.Streamed)
    assert capsys.readouterr().out == ""
    with mock.patch.object(surreal_stream, "STREAM_ABOVE", MANY - 1):
        assert isinstance(open_surreal_2d(large), streamed.Streamed)
    assert isinstance(open_surreal(large, above=MANY - 1), streamed.Streamed)
    assert f"{MANY:,} poses (more than {MANY - 1:,}) stay in the file" in capsys.readouterr().out
    assert not isinstance(open_surreal(large, stream="off", above=1), streamed.Streamed)


def damaged(large, folder, change):
    copy_data(large, folder, "surreal_train.h5")
    (folder / "surreal_train.h5").write_bytes((large / "surreal_train.h5").read_bytes())
    with h5py.File(folder / "surreal_train.h5", "r+") as file:
        change(file)
    return folder


def test_streamed_poses_are_checked_when_they_are_read(large, tmp_path):
    def put_nan(file):
        file["joints_3d"][5000, 4, 1] = np.nan

    folder = damaged(large, tmp_path / "nan", put_nan)
    with mock.patch.object(surreal_stream, "SAMPLE", 1000):  # which looks elsewhere
        stream = open_surreal(folder, stream="on")
        made = BlockBatches(stream, lambda p: (p.inputs_2d, p.targets_3d), 64, 0, block=100, buffer=1000)
    with pytest.raises(DuaError) as streaming:
        list(made.epoch(0))
    with pytest.raises(DuaError) as loading:
        load_surreal(folder)
    assert str(streaming.value) == str(loading.value)
    assert "of clip" in str(loading.value)

    def mirror(file):
        for name in ("joints_2d", "joints_3d"):
            file[name][...] *= np.array([-1, 1, 1][: file[name].shape[-1]])

    def shift(file):
        file["clip_stop"][3] += 1

    for name, change, word in (("mirrored", mirror, "mirrored"), ("table", shift, "table of clips")):
        with pytest.raises(DuaError, match=word):
            open_surreal(damaged(large, tmp_path / name, change), stream="on")


def test_labels_of_a_target_are_out_of_reach(large, tmp_path):
    def drop(file):
        del file["joints_3d"]

    stream = open_surreal_2d(damaged(large, tmp_path / "unlabelled", drop), stream="on")
    assert torch.equal(stream.thinned().inputs_2d, load_surreal(large).inputs_2d)
    assert not hasattr(stream.thinned(), "targets_3d")


# --- errors, chunk by chunk ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test_time", [TestTime(), TestTime(canonical=True, flip=True), TestTime(batchnorm=True)])
def test_errors_do_not_depend_on_where_the_poses_are(large, test_time):
    torch.manual_seed(0)
    lifter = {"name": "martinez", "num_joints": 16, "hid_dim": 32, "num_layers": 1, "dropout": 0.5}
    networks = {"lifter": build(lifter).eval()}
    memory = load_surreal(large)
    stream = open_surreal(large, stream="on")
    whole = evaluate(networks, memory, torch.device("cpu"), "target", test_time)
    with mock.patch.object(streamed.Streamed.chunks, "__defaults__", (1000,)):
        parts = evaluate(networks, stream, torch.device("cpu"), "target", test_time)
    for name in ("average", "per_joint", "per_action"):
        ours, theirs = getattr(parts, name), getattr(whole, name)
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert ours[key] == pytest.approx(value, rel=1e-5), (name, key)


def test_validation_by_chunks_changes_no_bit(large):
    validation = split_validation(load_surreal(large))[0].targets_3d
    noisy = validation + 0.1 * torch.randn(validation.shape, generator=torch.Generator().manual_seed(0))
    whole = evaluation._mean_errors(noisy, validation)
    with mock.patch.object(evaluation, "_CHUNK", 100):
        assert evaluation._mean_errors(noisy, validation) == whole


# --- training -----------------------------------------------------------------------------------------------------------


def test_a_streamed_run_is_taken_up_to_the_same_bits(large, tmp_path):
    options = (*SMALL, "--data_dir", large, "--stream", "on", "--epochs", 2, "--limit_batches", 20)
    with mock.patch("common.datasets.block_batches.BlockBatches.__init__.__defaults__", ("cpu", 0, 64, 1000)):
        whole = run_here("train_surreal.py", *options, "--snapshot", 1, "--checkpoint", tmp_path / "a")
        assert whole.returncode == 0, whole.stderr
        assert "block shuffle (15 blocks of 64 poses at a time)" in whole.stdout
        run = only_run(tmp_path / "a")
        last = tmp_path / "last.pth.tar"
        (run / "ckpt_last.pth.tar").rename(last)
        (run / "results.json").unlink()
        rest = run_here("train_surreal.py", "--resume", run / "snapshot_epoch_1.pth.tar")
        assert rest.returncode == 0, rest.stderr
        assert_same_bits(last, run / "ckpt_last.pth.tar")
    other = run_here("train_surreal.py", "--resume", run, "--stream", "off", "--epochs", 3)
    assert_one_line(other, "--stream off differs", "trained with on")


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("train_surreal.py", ("--dua", "--align", "canonical", "gpa", "--augment")),
        ("train_surreal.py", ("--dua", "--no_domain", "--align", "canonical", "--tta")),
        ("train_h36m_dan.py", ("--align", "gpa", "--augment")),
        ("train_h36m_dan.py", ("--test_bn", "--select", "target")),
    ],
)
def test_adaptation_streams(large, converter, tmp_path, script, options):
    with mock.patch.object(surreal_stream, "TEST_STREAM_ABOVE", 100):
        process = run_here(
            script, *QUICK, "--data_dir", large, "--stream", "on", "--converter", converter, "--checkpoint", tmp_path, *options
        )
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("stay in the file") == (2 if script == "train_h36m_dan.py" else 1)
    assert json.loads((only_run(tmp_path) / "results.json").read_text())["poses"] > 100


def test_scripts_that_do_not_train_on_surreal_have_no_such_option(demo, tmp_path):
    process = attempt(tmp_path, "main_prob.py", "--data_dir", demo, "--stream", "on")
    assert process.returncode == 2
    assert "--stream" in process.stderr
