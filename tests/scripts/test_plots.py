"""`plots.py`: what is in its figures, told from the figures themselves, and what it refuses."""

import json
import shutil
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from PIL import Image

from common.datasets.test_sets import load_test
from common.figures import PAPER, WIDTHS, cut, printable, save
from common.plotting.feature_figure import draw_feature_planes, feature_plane
from common.plotting.finished_runs import names_of, read_log, read_run, read_spreads, with_oracle
from common.plotting.run_figures import action_errors, joint_errors, training_curves, uncertainty_spread
from common.prediction.lifter import load_lifter
from common.training.checkpoint import BEST
from common.training.facts import SELECTIONS
from common.uncertainty.scores import SPREAD
from tests.helpers.script_tools import assert_one_line, run_here

SCRIPT = "plots.py"
JOINTS = 15
HOSTILE = ["_$x^{\\frac", "a\nb\t" + "long" * 60, "été 日本 \udcff", ""]


@pytest.fixture(scope="module")
def run(quick_run):
    """A run with an estimator, tested on the demo's S9 and S11."""
    return quick_run


@pytest.fixture
def runs(run, tmp_path):
    """Three runs: the real one, one whose first epoch is huge, and one of DUA that was chosen by target labels."""

    def changed(name, log, **facts):
        folder = tmp_path / name
        shutil.copytree(run, folder)
        results = json.loads((folder / "results.json").read_text())
        (folder / "results.json").write_text(json.dumps(results | facts))
        (folder / "log.csv").write_text("epoch,val_mpjpe_mm\n" + "".join(f"{i},{mm}\n" for i, mm in enumerate(log, 1)))
        return folder

    huge = changed("huge", [9000, 120, 100, 90, 80, 85, 90, 95], seed=7)
    oracle = changed(
        "oracle",
        [300, 200],
        source="surreal",
        target="h36m",
        modules=[],
        selection="oracle selection (target labels)",
        uncertainty=None,
    )
    return [run, huge, oracle]


def bars(axis):
    return [container.datavalues for container in axis.containers]


def texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_every_kind_becomes_a_pdf_and_a_png_that_are_the_same_each_time(runs, tmp_path):
    (tmp_path / "out").mkdir()
    process = run_here(SCRIPT, *runs, "--out", tmp_path / "out", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("\n") == 9  # eight files, and that one run has no estimator
    assert "no uncertainty estimator" in process.stdout
    files = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert set(files) == {f"{kind}.{e}" for kind in ("joints", "actions", "curves", "uncertainty") for e in ("pdf", "png")}
    assert all(b"/Type3" not in content and b"/FontFile2" in content for name, content in files.items() if name.endswith("pdf"))
    with Image.open(tmp_path / "out/joints.png") as image:
        assert image.width == round(WIDTHS["column"] * 300)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert run_here(SCRIPT, *runs, "--out", tmp_path / "again", "--kind", "joints").returncode == 0
    for ending in ("pdf", "png"):
        assert (tmp_path / f"again_joints.{ending}").read_bytes() == files[f"joints.{ending}"]


def test_folders_are_made(run, tmp_path):
    for out in (f"{tmp_path}/a/b/", tmp_path / "c" / "d" / "x"):
        process = run_here(SCRIPT, run, "--kind", "joints", "--out", out)
        assert process.returncode == 0, process.stderr
    made = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")}
    assert made == {"a/b/joints.png", "c/d/x_joints.png"}


def test_what_tells_long_names_apart_is_not_cut(runs):
    """In legends and in titles; letters go where the names are alike."""
    same = "surreal → h36m: martinez, converter + uncertainty + domain, aligned, augmented, 2D: cpn_ft_h36m_dbb, selected on the source, "
    names = [f"{same * 2}seed {seed}" for seed in (1, 2)]
    read = [read_run(path) for path in runs[:2]]
    with matplotlib.rc_context(PAPER):
        legend = joint_errors(read, names, WIDTHS["column"])
        read[1] = replace(read[1], test=f"{same * 2}test b")
        read[0] = replace(read[0], test=f"{same * 2}test a")
        panels = joint_errors(read, ["a", "b"], WIDTHS["column"])
    assert [text[-6:] for text in texts(legend)] == ["seed 1", "seed 2"]
    assert [axis.get_title()[-6:] for axis in panels.axes] == ["test a", "test b"]
    for text in (*texts(legend), *(axis.get_title() for axis in panels.axes)):
        assert text.startswith("surreal")
        assert text.count("…") == 1
        assert text.count("\n") <= 2
    assert cut("abc", ["abd"], lambda text: len(text) <= 3) == "abc"
    dated = [f"Martinez, H3.6M, 2026-11-27_12-0{minute}-00" for minute in (0, 5)]
    assert [cut(name, dated, lambda text: len(text) <= 26) for name in dated] == [
        "Martinez, H3.6M,…12-00-00",
        "Martinez, H3.6M,…12-05-00",
    ]
    front = [f"seed {seed}, of a name that goes on and on" for seed in (1, 2)]
    assert [cut(name, front, lambda text: len(text) <= 20) for name in front] == ["seed 1, of a name t…", "seed 2, of a name t…"]
    assert cut("no other", [], lambda text: len(text) <= 5) == "no o…"


def test_a_folder_of_runs_stands_for_its_newest(run, tmp_path):
    for folder in (run, run.parent):
        process = run_here(SCRIPT, folder, "--kind", "joints", "--out", tmp_path / folder.name)
        assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[0] == f"{run.parent}: its newest run is taken, {run.name}"
    one, other = (tmp_path / f"{folder.name}_joints.png" for folder in (run, run.parent))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("width", ["column", "page"])
def test_bars_are_the_results(runs, width):
    read = [read_run(path) for path in runs]
    results = json.loads((runs[0] / "results.json").read_text())
    with matplotlib.rc_context(PAPER):
        joints = joint_errors(read, ["a", "b", "c"], WIDTHS[width])
        actions = action_errors(read, ["a", "b", "c"], WIDTHS[width])
    assert texts(joints) == texts(actions) == ["a", "b", "c"]
    (axis,) = joints.axes
    assert [len(values) for values in bars(axis)] == [JOINTS] * 3
    assert bars(axis)[0].tolist() == [mm for joint, mm in results["per_joint_mpjpe"].items() if joint != "Hip"]
    assert len({(patch.get_facecolor(), patch.get_hatch()) for patch in axis.patches}) == 3
    (axis,) = actions.axes
    names = [label.get_text() for label in (axis.get_yticklabels() if width == "column" else axis.get_xticklabels())]
    assert names == [*results["per_action"], "average"]
    assert bars(axis)[0][-1] == results["average"]["mpjpe"]


def test_different_test_data_are_never_side_by_side(runs, run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    results = json.loads((run / "results.json").read_text())
    (other / "results.json").write_text(json.dumps(results | {"poses": results["poses"] + 1}))  # the same name, other data
    figure = joint_errors([read_run(path) for path in (*runs, other)], list("abcd"), WIDTHS["page"])
    assert [len(bars(axis)) for axis in figure.axes] == [3, 1]
    assert texts(figure) == list("abcd")
    assert f"{results['poses'] + 1:,} poses" in figure.axes[1].get_title()
    process = run_here(SCRIPT, *runs, other, "--out", tmp_path / "x", "--kind", "joints")
    assert process.stdout.startswith("the runs were tested on different data"), process.stdout + process.stderr


def test_of_very_many_actions_the_worst_are_drawn_and_it_is_said(run):
    read = read_run(run)
    read.per_action.clear()
    read.per_action.update({f"motion_{i}": float(i) for i in range(100)})
    (axis,) = action_errors([read], ["a"], WIDTHS["column"]).axes
    assert bars(axis)[0].tolist() == [*range(99, 79, -1), read.average]
    assert "20 of 100 actions" in axis.get_title().replace("\n", " ")


def test_curves_stay_readable_when_the_first_epoch_is_huge(runs):
    read = [read_run(path) for path in runs]
    figure = training_curves(read, [read_log(run) for run in read], ["a", "b", "c"], WIDTHS["page"])
    assert texts(figure) == ["a", "b", "c", "epoch that was chosen"]
    source, target = figure.axes
    assert (source.get_title().split("\n")[0], target.get_title()) == ("validation split of h36m", "test set of h36m")
    assert source.lines[2].get_ydata().tolist()[:2] == [9000, 120]
    assert source.lines[3].get_xdata().tolist() == [5]  # the ring
    assert source.get_ylim()[1] < 2 * max(120, *source.lines[0].get_ydata())
    assert "up to 9,000 mm" in source.get_title()
    assert target.get_ylim()[0] < 200 < 300 < target.get_ylim()[1]


def test_uncertainty_is_what_evaluate_writes(run, demo, tmp_path):
    name = tmp_path / "t"
    process = run_here("evaluate.py", run, "--data_dir", demo, "--uncertainty", "--downsample", 3, "--out", name)
    assert process.returncode == 0, process.stderr
    (spread,) = read_spreads(f"{name}_uncertainty.json")
    low, lower, upper, high = (np.array(spread.bins[f"error_mm_{q:.0%}"]) for q in SPREAD)
    assert (low <= lower).all() and (lower <= upper).all() and (upper <= high).all() and low.min() < high.max()  # noqa: PT018
    (axis,) = uncertainty_spread([spread], ["a"], WIDTHS["column"]).axes
    assert axis.lines[0].get_xydata().T.tolist() == [spread.bins["expected_mm"], spread.bins["error_mm"]]
    assert len(set(axis.lines[1].get_xdata())) == 2
    assert axis.lines[1].get_xdata().tolist() == axis.lines[1].get_ydata().tolist()  # the identity
    assert axis.get_ylim()[1] > high.max()
    # Judged here, from the checkpoint and the data that it knows of, it is the same figure.
    first = run_here(SCRIPT, f"{name}_uncertainty.json", "--out", tmp_path / "json")
    second = run_here(SCRIPT, run, "--kind", "uncertainty", "--out", tmp_path / "run", "--device", "cpu")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (tmp_path / "json_uncertainty.png").read_bytes() == (tmp_path / "run_uncertainty.png").read_bytes()


def test_names_say_what_differs_and_never_hide_an_oracle(runs):
    facts = [read_run(path).facts for path in runs]
    names = names_of(facts)
    assert names[0] == "h36m: martinez, uncertainty, seed 0"
    assert names[1] == "h36m: martinez, uncertainty, seed 7"
    assert names[2] == "surreal → h36m: martinez, no modules, seed 0 (oracle selection)"
    assert names_of(facts[:1] * 2) == ["h36m: martinez, run 1", "h36m: martinez, run 2"]
    assert with_oracle(["x", "y", "z"], facts) == ["x", "y", "z (oracle selection)"]


@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_names_are_drawn_and_stay_in_the_figure(runs, tmp_path):
    read = [read_run(path) for path in [*runs, runs[0]]]
    names = with_oracle(HOSTILE, [run.facts for run in read])
    for width in WIDTHS.values():
        with matplotlib.rc_context(PAPER):
            figure = joint_errors(read, names, width)
        save(figure, tmp_path / "x.pdf", tmp_path / "x.png")
        box = figure.legends[0].get_window_extent()
        assert len(texts(figure)) == 4
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
    assert printable("a$b$c") == r"a\$b\$c"


@pytest.mark.parametrize(
    ("facts", "log", "kinds", "said"),
    [
        ({"selection": SELECTIONS["last"]}, "epoch,train_mpjpe_mm\n1,80\n", {"joints", "actions"}, "held nothing out"),
        ({"source": "people"}, None, {"joints", "actions", "curves"}, "--dataset names none"),
    ],
)
def test_all_that_a_run_has_is_drawn_and_what_it_lacks_is_said(run, tmp_path, facts, log, kinds, said):
    """Runs that held nothing out, and those of `train_open.py`, which learn from none of the data sets."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "results.json").write_text(json.dumps(json.loads((folder / "results.json").read_text()) | facts))
    if log:
        (folder / "log.csv").write_text(log)
    process = run_here(SCRIPT, folder, "--out", tmp_path / "x", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    assert said in process.stdout
    assert {path.stem.removeprefix("x_") for path in tmp_path.glob("x_*.png")} == kinds
    if log:
        assert "left out of 'curves'" in process.stdout
        assert_one_line(run_here(SCRIPT, folder, "--out", tmp_path / "x", "--kind", "curves"), "--select last", "leave this run")


def test_bad_input_is_one_line(run, demo, tmp_path):
    def refused(*arguments, out=tmp_path / "x"):
        return run_here(SCRIPT, *arguments, "--out", out)

    assert_one_line(refused(tmp_path / "no"), "no does not exist")
    assert_one_line(refused(demo), "no run folder", "results.json")
    deep = tmp_path / "deep" / "prob" / run.name
    shutil.copytree(run, deep)
    assert_one_line(refused(tmp_path / "deep"), "no run folder", str(deep))
    assert_one_line(refused(run, "--labels", "a", "b"), "--labels names 2", "1 runs")
    (tmp_path / "file").write_text("in the way")
    assert_one_line(refused(run, out=tmp_path / "file" / "x"), f"{tmp_path / 'file'} of --out cannot be made", "is a file")
    assert_one_line(refused(run, out=f"{tmp_path}/file/"), "cannot be made", "is a file")
    assert_one_line(refused(*[run] * 9), "9 runs")
    part = json.loads((run / "results.json").read_text())
    part |= {"poses": part["poses"] - 1}
    (deep / "part.json").write_text(json.dumps(part))
    process = refused(deep / "part.json", "--kind", "uncertainty")
    assert_one_line(process, f"part.json is of {part['poses']:,} poses", "leave 'uncertainty' out")
    process = run_here(SCRIPT, deep / "part.json", "--out", tmp_path / "part", "--device", "cpu")
    assert process.returncode == 0, process.stderr
    assert "part.json is of other poses than the run's own test: left out of 'uncertainty'" in process.stdout
    assert {path.name for path in tmp_path.glob("part_*.png")} == {f"part_{kind}.png" for kind in ("joints", "actions", "curves")}
    assert_one_line(refused(run, "--kind", "uncertainty", "--data_dir", tmp_path), "data_2d_h36m_gt.npz")
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    results = (run / "results.json").read_text()
    for content in ("{", "[]", "{}", results.replace('"Hip": 0.0', '"Hip": null')):
        (broken / "results.json").write_text(content)
        assert_one_line(refused(broken), "results.json")
    assert_one_line(refused(run / BEST), "cannot be read as JSON")
    (broken / "results.json").unlink()
    assert_one_line(refused(broken), f"main_prob.py --resume {broken}", "results.json")
    (broken / "config.json").write_text("[]")
    assert_one_line(refused(broken), "no results.json")
    (broken / "results.json").write_text(results)
    for content in ("", "epoch\n1\n", "epoch,val_mpjpe_mm\n1,nan\n", "epoch,val_mpjpe_mm\n1,\n"):
        (broken / "log.csv").write_text(content)
        assert_one_line(refused(broken, "--kind", "curves"), "log.csv")
    (broken / "log.csv").unlink()
    assert_one_line(refused(broken, "--kind", "curves"), "log.csv")
    (broken / BEST).unlink()
    assert_one_line(refused(broken, "--kind", "uncertainty"), BEST)
    (broken / "results.json").write_text(json.dumps(json.loads(results) | {"uncertainty": None}))
    process = refused(broken, "--kind", "uncertainty")
    assert_one_line(process, "none of the runs has an uncertainty estimator")
    old = tmp_path / "old.json"
    old.write_text(json.dumps({"rows": [{"method": "nll head", "labels": "raw", "reliability": {"expected_mm": [1]}}]}))
    assert_one_line(refused(old), "old.json", "evaluate.py")
    assert_one_line(refused(old, "--kind", "joints"), "old.json")
    assert_one_line(refused(old, out=f"{tmp_path}/new/"), "old.json")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob("x_*"))


def test_features_of_both_domains_with_their_a_distance(run, demo, tmp_path):
    process = run_here(
        SCRIPT, run, run, "--kind", "features", "--labels", "before", "after", "--data_dir", demo, "--out", tmp_path / "f"
    )
    assert process.returncode == 0, process.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f_features.pdf", "f_features.png"]

    lifter = load_lifter(run, "cpu")
    source, target = (load_test(name, str(demo), "gt", "shoulder", 1)[0] for name in ("h36m", "surreal"))
    plane = feature_plane(lifter.networks, source, target, lifter.test_time)
    alike = feature_plane(lifter.networks, source, source, lifter.test_time)
    assert alike.of_features < 0.3 < 1.0 < plane.of_features <= 2.0  # other cameras and another skeleton are told apart
    assert plane.names == ("h36m", "surreal")
    assert plane.source.shape == plane.target.shape == (600, 2)
    figure = draw_feature_planes([plane, alike], ["before", "after"], WIDTHS["column"])
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[0] == f"before\nA-distance {plane.of_features:.2f}, of poses {plane.of_poses:.2f}"
    assert titles[1].startswith("after\nA-distance 0.")
    back = feature_plane(lifter.networks, target, source, lifter.test_time)
    for planes, said in (([plane, plane], ["h36m (source)", "surreal (target)"]), ([plane, back], ["source", "target"])):
        figure = draw_feature_planes(planes, ["one", "two"], WIDTHS["column"])
        assert [text.get_text() for text in figure.legends[0].get_texts()] == said
