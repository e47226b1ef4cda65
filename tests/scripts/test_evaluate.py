"""`evaluate.py`."""

import csv
import json
import re

import pytest
import torch

from common.adaptation.converter import load_converter
from common.datasets.test_sets import load_test
from common.evaluation.test_time import mirrored
from common.prediction.lifter import load_lifter
from common.training.checkpoint import BEST, load_checkpoint, save_checkpoint
from tests.conftest import run_script
from tests.helpers.script_tools import QUICK, assert_one_line, only_run, run_here, trained


def over_actions(errors, poses):
    """The mean over an action's poses, then over actions."""
    by_action = {}
    for sequence in poses.sequences:
        by_action.setdefault(sequence.base_action, []).append(errors[sequence.start : sequence.stop])
    return sum(float(torch.cat(of).mean()) for of in by_action.values()) / len(by_action)


@pytest.fixture(scope="module")
def runs(demo, tmp_path_factory):
    """Run folders: {name: folder} of a converter and of short trainings in both directions."""
    folder = tmp_path_factory.mktemp("runs")
    common = ("--data_dir", demo, "--seed", 3)
    found = {}
    process = run_here("conversion.py", *common, "--checkpoint", folder / "conversion", "--epochs", 1, "--device", "cpu")
    found["conversion"], _ = trained(folder / "conversion", process)
    converter = ("--converter", found["conversion"])
    commands = {
        "adapted": ("train_surreal.py", "--dua", *converter),
        "control": ("train_surreal.py", "--dua", *converter, "--domain_weight", 0),
        "plain": ("train_surreal.py", "--dua", "--no_converter", "--no_uncertainty", "--no_domain"),
        "h36m": ("train_h36m_dan.py", *converter, "--no_domain"),
    }
    for name, command in commands.items():
        found[name], _ = trained(folder / name, run_here(*command, *common, *QUICK, "--checkpoint", folder / name))
    return found


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_one_table_of_every_checkpoint_on_every_data_set(runs, demo, tmp_path):
    names = ["adapted", "control", "plain", "h36m"]
    process = run_script(
        "evaluate.py",
        *(runs[name] for name in names),
        "--data_dir",
        demo,
        "--on",
        "h36m",
        "surreal",
        "--out",
        tmp_path / "table",
        "--downsample",
        3,
    )
    assert process.returncode == 0, process.stderr
    rows = rows_of(tmp_path / "table.csv")
    assert [(row["test"]) for row in rows] == ["h36m", "surreal"] * 4
    adapted_h36m, adapted_surreal, control_h36m, _, plain_h36m, plain_surreal, _, h36m_surreal = rows
    assert adapted_h36m["modules"] == "converter+uncertainty+domain"
    assert control_h36m["modules"] == "converter+uncertainty+domain (weight 0)"
    assert {row["selection"] for row in rows} == {"source validation"}
    assert {row["seed"] for row in rows} == {"3"}
    # Human3.6M's labels are in the skeleton that the network with a converter predicts, SURREAL's are not.
    assert adapted_h36m["MPJPE raw"] == adapted_h36m["MPJPE conv."]
    assert adapted_surreal["MPJPE raw"] != adapted_surreal["MPJPE conv."]
    assert h36m_surreal["MPJPE raw"] != h36m_surreal["MPJPE conv."]
    # Without a converter the network predicts SMPL's skeleton, and nothing brings Human3.6M's labels there.
    assert plain_h36m["MPJPE conv."] == "-"
    assert plain_surreal["MPJPE raw"] == plain_surreal["MPJPE conv."]
    assert (tmp_path / "table.tex").read_text().count(r"\\") == 9
    for name, row in (("adapted", adapted_h36m), ("h36m", h36m_surreal)):
        results = json.loads((runs[name] / "results.json").read_text())
        assert float(row["MPJPE conv."]) == pytest.approx(results["average"]["mpjpe"], abs=0.06)
    assert float(h36m_surreal["MPJPE raw"]) == pytest.approx(
        json.loads((runs["h36m"] / "results.json").read_text())["also"]["surreal, raw labels"]["average"]["mpjpe"], abs=0.06
    )


def test_networks_of_surreal_s_joints_are_judged_in_human36m_s_skeleton_with_a_converter(runs, demo, tmp_path):
    """Their poses go through the converter as predictions, the labels as labels: a network that errs little in one skeleton does in the other."""
    given = ("--converter", runs["conversion"])
    common = ("--data_dir", demo, "--on", "h36m", "surreal", "--downsample", 3, "--out", tmp_path / "table")
    assert run_here("evaluate.py", runs["plain"], runs["adapted"], *common).returncode == 0
    without = rows_of(tmp_path / "table.csv")
    process = run_here("evaluate.py", runs["plain"], runs["adapted"], *common, *given)
    assert process.returncode == 0, process.stderr
    with_it = rows_of(tmp_path / "table.csv")
    assert [row["MPJPE conv."] for row in with_it[2:]] == [row["MPJPE conv."] for row in without[2:]]
    assert without[0]["MPJPE conv."] == "-"
    assert float(with_it[0]["MPJPE conv."]) != float(with_it[0]["MPJPE raw"])  # on Human3.6M, against its own labels
    assert [row["MPJPE raw"] for row in with_it] == [row["MPJPE raw"] for row in without]
    raw, converted = float(with_it[1]["MPJPE raw"]), float(with_it[1]["MPJPE conv."])
    assert raw != converted
    # By hand: predictions and labels through the converter.
    lifter, converter = load_lifter(runs["plain"], "cpu"), load_converter(runs["conversion"], "h36m", "shoulder")[0]
    poses, _ = load_test("surreal", str(demo), "gt", "shoulder", 3)
    with torch.no_grad():
        predicted = converter.convert(lifter.networks["lifter"].eval()(poses.inputs_2d)[0], predicted=True)
        errors = (predicted - converter.convert(poses.targets_3d)).norm(dim=-1).mean(1) * 1000
    assert converted == pytest.approx(over_actions(errors, poses), abs=0.06)
    collars = load_checkpoint(runs["plain"] / BEST)
    collars["arguments"]["smpl_shoulders"] = "collar"
    save_checkpoint(tmp_path / "collars.pth.tar", collars)
    process = run_here("evaluate.py", tmp_path / "collars.pth.tar", "--data_dir", demo, *given)
    assert_one_line(process, "was trained with --smpl_shoulders collar, not shoulder")
    for more in (("--uncertainty",), ("--protocol", "posebench3d")):
        assert_one_line(run_here("evaluate.py", runs["plain"], "--data_dir", demo, *given, *more), "--converter")
    assert_one_line(run_here("evaluate.py", runs["adapted"], "--data_dir", demo, *given), "--converter", "none of these networks")


@pytest.mark.parametrize("option", ["--no_converter", "--no_domain", "--no_uncertainty", "--domain_bn"])
def test_a_test_takes_no_module_out_of_a_checkpoint(runs, option):
    results = {path: path.read_bytes() for path in runs["adapted"].glob("results*.json")}
    process = run_here("train_surreal.py", "--evaluate", runs["adapted"], option)
    assert_one_line(process, f"{option} differs from", "leave it out")
    assert {path: path.read_bytes() for path in runs["adapted"].glob("results*.json")} == results


def test_a_folder_of_runs_and_the_runs_own_data(runs, demo, tmp_path):
    """Without --data_dir, and with it, the same table; of two folders of runs two rows."""
    folders = [runs[name].parent for name in ("adapted", "plain")]
    process = run_here("evaluate.py", *folders, "--downsample", 9, "--out", tmp_path / "own", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    newest = [f"{runs[name].parent}: its newest run is taken, {runs[name].name}" for name in ("adapted", "plain")]
    assert process.stdout.splitlines()[:3] == [*newest, f"data: {demo}"]
    named = (runs["adapted"], runs["plain"], "--data_dir", demo)
    assert run_here("evaluate.py", *named, "--downsample", 9, "--out", tmp_path / "named", "--device", "cpu").returncode == 0
    assert rows_of(tmp_path / "own.csv") == rows_of(tmp_path / "named.csv")
    assert len(rows_of(tmp_path / "own.csv")) == 2


def test_bad_input_is_one_line(runs, demo, tmp_path):
    data = ("--data_dir", demo)
    assert_one_line(run_script("evaluate.py", tmp_path / "no.pth.tar", *data), "no.pth.tar does not exist")
    assert_one_line(run_here("evaluate.py", runs["conversion"], *data), "no lifting network", "conversion")
    assert_one_line(run_here("evaluate.py", runs["plain"], *data, "-k", "cpn"), "data_2d_h36m_cpn.npz")
    assert_one_line(run_here("evaluate.py", runs["plain"], "--data_dir", tmp_path, "--on", "surreal"), "surreal_test.h5")
    assert_one_line(run_here("evaluate.py", tmp_path, *data), "no ckpt_best.pth.tar")
    torch.save({"format": "other"}, tmp_path / "other.pth.tar")
    assert_one_line(run_here("evaluate.py", tmp_path / "other.pth.tar", *data), "other.pth.tar")
    assert load_checkpoint(only_run(runs["plain"].parent) / "ckpt_best.pth.tar")["target"] == "h36m"


def test_bfloat16_is_asked_for_marked_and_held_against_float32(runs, demo, tmp_path):
    folder = demo
    both = {}
    for precision in ("float32", "bfloat16"):
        process = run_here(
            "evaluate.py",
            runs["plain"],
            "--data_dir",
            folder,
            "--on",
            "h36m",
            "--precision",
            precision,
            "--out",
            tmp_path / precision,
        )
        assert process.returncode == 0, process.stderr
        (both[precision],) = rows_of(tmp_path / f"{precision}.csv")
        assert ("against float32" in process.stdout) == (precision == "bfloat16")
    assert (both["float32"]["test"], both["bfloat16"]["test"]) == ("h36m", "h36m, bfloat16")
    change, whole, moved = re.search(
        r"bfloat16 against float32, [\d,]+ poses: MPJPE ([+-][\d.]+) mm \(([\d.]+) in float32\), joints elsewhere by ([\d.]+) mm",
        process.stdout,
    ).groups()
    assert 0 < float(moved) < 20  # eight bits of a number, through a few layers, are some hundredths of a metre's body
    assert abs(float(change)) <= float(moved)
    assert float(whole) == pytest.approx(float(both["float32"]["MPJPE raw"]), rel=0.2)  # of a part of the test

    refused = run_here("evaluate.py", runs["plain"], "--data_dir", folder, "--uncertainty", "--precision", "bfloat16")
    assert_one_line(refused, "--precision bfloat16")


def test_the_flip_is_a_test_of_networks_that_were_tested_without_it(runs, demo, tmp_path):
    common = ("--data_dir", demo, "--on", "h36m", "--downsample", 3, "--device", "cpu", "--out", tmp_path / "table")
    process = run_here("evaluate.py", runs["plain"], *common, "--tta", "--converter", runs["conversion"])
    assert process.returncode == 0, process.stderr
    (flipped,) = rows_of(tmp_path / "table.csv")
    assert flipped["modules"].split("+")[-1] == "tta"
    # By hand: the mean with the mirrored picture's poses, mirrored back.
    lifter = load_lifter(runs["plain"], "cpu")
    poses, _ = load_test("h36m", str(demo), "gt", "shoulder", 3)
    network = lifter.networks["lifter"].eval()
    with torch.no_grad():
        predicted = (network(poses.inputs_2d)[0] + mirrored(network(mirrored(poses.inputs_2d))[0])) / 2
        converted = load_converter(runs["conversion"], "h36m", "shoulder")[0].convert(predicted, predicted=True)
    for labels, of in (("raw", predicted), ("conv.", converted)):
        errors = (of - poses.targets_3d).norm(dim=-1).mean(1) * 1000
        assert float(flipped[f"MPJPE {labels}"]) == pytest.approx(over_actions(errors, poses), abs=0.06)
    assert_one_line(
        run_here("evaluate.py", runs["plain"], "--data_dir", demo, "--tta", "--uncertainty"), "--tta", "plain predictions"
    )


def test_a_training_script_tests_in_bfloat16_beside_its_own_results(runs, demo):
    own = json.loads((runs["plain"] / "results.json").read_text())
    process = run_here("train_surreal.py", "--evaluate", runs["plain"], "--data_dir", demo, "--precision", "bfloat16")
    assert process.returncode == 0, process.stderr
    assert "bfloat16 against float32" in process.stdout
    (path,) = runs["plain"].glob("results_*bfloat16*.json")
    found = json.loads(path.read_text())
    assert found["precision"] == "bfloat16"
    assert "precision" not in own
    assert json.loads((runs["plain"] / "results.json").read_text()) == own
    assert found["average"]["mpjpe"] == pytest.approx(own["average"]["mpjpe"], abs=20)


def test_posebench3d_counts_all_frames_of_both_data_sets(quick_run, demo, tmp_path):
    command = ("evaluate.py", quick_run, "--data_dir", demo, "--on", "h36m", "surreal", "--device", "cpu")
    process = run_here(*command, "--protocol", "posebench3d", "--out", tmp_path / "table")
    assert process.returncode == 0, process.stderr
    h36m, surreal = rows_of(tmp_path / "table_posebench3d.csv")
    assert (tmp_path / "table_posebench3d.tex").exists()
    assert (h36m["protocol"], h36m["test"], surreal["test"]) == ("posebench3d", "h36m", "surreal")
    per_action = json.loads((quick_run / "results.json").read_text())["per_action"].values()
    tests = {name: load_test(name, demo, "gt", "posebench3d", 1)[0] for name in ("h36m", "surreal")}
    assert [int(row["poses"]) for row in (h36m, surreal)] == [len(poses) for poses in tests.values()]
    # The run's own test kept every third frame.
    by_pose = sum(row["poses"] * row["mpjpe"] for row in per_action) / sum(row["poses"] for row in per_action)
    assert float(h36m["MPJPE 16"]) == pytest.approx(by_pose, rel=0.02)
    smpl = load_test("surreal", demo, "gt", "shoulder", 1)[0]
    differs = (tests["surreal"].targets_3d != smpl.targets_3d).any(dim=-1).any(dim=0)
    assert differs.nonzero().flatten().tolist() == [7]  # the spine
    assert_one_line(run_here(*command, "--protocol", "posebench3d", "--downsample", 5), "leave out --downsample 5")
    assert_one_line(run_here(*command, "--protocol", "posebench3d", "-k", "cpn"), "leave out --keypoints cpn")


def test_open_weights_are_of_no_data_set(demo):
    """They have learnt from people before any camera: their own estimator can be judged, and nothing that takes a validation split."""
    assert_one_line(
        run_here("evaluate.py", "open", "--data_dir", demo, "--uncertainty", "--consistency"), "people before any camera"
    )


def test_that_a_network_has_learnt_from_other_2d_than_it_is_tested_on_is_said(runs, demo):
    given = ("evaluate.py", "open", runs["plain"], "--data_dir", demo, "--downsample", 20)
    unsaid, said = run_here(*given), run_here(*given, "--keypoints", "gt")
    line, *table = unsaid.stdout.splitlines()
    assert line.startswith("2D: gt; learnt from other 2D, which --keypoints would name: ")
    assert line.endswith(".safetensors (detector)")
    assert table == said.stdout.splitlines()
