"""`benchmarks/results_page.py`: pages say what the tables hold, and are found out when they do not."""

import csv
import re
import shutil
import sys

import pytest

import benchmarks.results_page as script
from common.errors import DuaError
from tests.conftest import ROOT

TABLE = "benchmarks/results_two/table.csv"
REPROJECTED = "converter + canonical + views + augment + flip, reproject"
TARGET_POSES = f"{REPROJECTED}, new poses, target poses"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A repository of pages and tables alone, in which the script works."""
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("data", "results", "*.py"))
    (tmp_path / "docs").mkdir()
    for name in (script.PAGE, script.ZOO, script.README):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["results_page.py", *arguments])
        try:
            script.main()
        except SystemExit as stop:
            return stop.code
        return 0

    return call


def line_of(root, network, direction, row):
    """A row against raw labels, as the table has it; None if it was not run."""
    with (root / TABLE).open() as file:
        for line in csv.DictReader(file):
            if (line["network"], line["direction"], line["row"], line["labels"]) == (network, direction, row, "raw"):
                return line
    return None


def errors(root, network, direction, row):
    line = line_of(root, network, direction, row)
    return (line["MPJPE"], line["P-MPJPE"]) if line else ("-",)


def real_man(root):
    """MPJPE / P-MPJPE of the detector's own 3D, and of both networks' converted poses without a focal length."""
    shown = (("-", "as they are"), ("assumed", "converted"))
    with (root / "benchmarks/results_real/table.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["focal length"], row["poses"]) in shown]
    assert [row["lifted by"] for row in rows] == ["the detector's own 3D", "open", "open/semgcn"]
    return [f"{row['MPJPE']} / {row['P-MPJPE']}" for row in rows]


def change(path, old, new):
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new, 1))


def test_the_pages_of_this_repository_say_what_its_tables_hold(run, capsys):
    assert run("--check") == 0, capsys.readouterr().err


def test_a_table_that_changed_is_named_in_one_line_and_then_taken_over(copy, run, capsys):
    was = errors(copy, "martinez", "surreal -> h36m", "DUA (all)")
    change(copy / TABLE, f"surreal -> h36m,martinez,DUA (all),raw,{was[0]}", "surreal -> h36m,martinez,DUA (all),raw,9.9")
    before = (copy / script.PAGE).read_text()
    assert run("--check") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "docs/results.md, line " in line
    assert TABLE in line
    assert f"'{was[0]}' stands there, it has to be '9.9'" in line
    assert (copy / script.PAGE).read_text() == before, "a check writes nothing"

    assert run() == 0
    assert run("--check") == 0
    assert re.search(r"^\| DUA \(all\) +\| raw +\| +9\.9 \|", (copy / script.PAGE).read_text(), re.MULTILINE)
    assert re.search(rf"^\| DUA +\| 9\.9 / {was[1]} ", (copy / script.README).read_text(), re.MULTILINE)


def test_a_number_that_somebody_changed_in_the_readme_is_named(copy, run, capsys):
    mpjpe, p_mpjpe = errors(copy, "martinez", "surreal -> h36m", "no adaptation")
    change(copy / script.README, f"{mpjpe} / {p_mpjpe}", f"1.5 / {p_mpjpe}")
    assert run("--check") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("README.md, line ")
    assert f"'1.5 / {p_mpjpe}' stands there, it has to be '{mpjpe} / {p_mpjpe}'" in line


def test_the_rest_of_the_readme_is_left_alone(copy, run):
    with (copy / script.README).open("a") as file:
        file.write("one line more\n")
    before = (copy / script.README).read_text()
    assert run() == 0
    assert (copy / script.README).read_text() == before


def test_a_table_that_is_not_there_yet_is_shown_once_it_is(copy):
    table = copy / "benchmarks" / "results_published" / "table.csv"
    table.unlink(missing_ok=True)
    assert "Against the published code" not in script.filled(copy)
    table.parent.mkdir(exist_ok=True)
    table.write_text("network,code,epoch\nmartinez,ours,6\n")
    assert "### Against the published code" in script.filled(copy)
    assert "| martinez | ours |     6 |" in script.filled(copy)


def test_headlines_are_the_rows_that_their_commands_train(copy):
    """The commands come of the benchmark's own rows, the numbers of their direction."""
    head, _, *lines = script.headline(copy).splitlines()
    wanted = [
        ("h36m -> surreal", "trained on the target"),
        ("surreal -> h36m", "no adaptation"),
        ("surreal -> h36m", "DUA (all)"),
        ("surreal -> h36m", REPROJECTED),
        ("surreal -> h36m", TARGET_POSES),
        ("surreal -> h36m", "trained on the target"),
        ("surreal -> h36m", "trained on the target, flip at test"),
    ]
    expected = [[" / ".join(errors(copy, network, *row)) for network in ("martinez", "semgcn")] for row in wanted]
    for network, name in (("martinez", "Martinez"), ("semgcn", "SemGCN")):
        counts = sorted(int(line["seeds"]) for row in wanted if (line := line_of(copy, network, *row)))
        (said,) = re.findall(rf"{name}, ([\d to]+) seeds? ", head)
        assert [int(count) for count in said.split(" to ")] == sorted({counts[0], counts[-1]})
    own, *lifted = real_man(copy)
    assert own in lines[-1].split("|")[1]
    assert [[cell.strip() for cell in line.split("|")[2:4]] for line in lines] == [*expected, lifted]
    assert [line.split("`")[1] for line in lines] == [
        "train_surreal.py --no_dua",
        "train_surreal.py --dua --no_converter --no_uncertainty --no_domain",
        "train_surreal.py --dua",
        "train_surreal.py --dua --no_uncertainty --no_domain --align canonical views --augment --tta --reproject",
        "train_surreal.py --dua --no_uncertainty --no_domain --align canonical views --augment --tta --reproject --new_poses --target_poses",
        "main_prob.py",
        "evaluate.py RUN --tta",
        "train_open.py",
    ]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("results_mocap/nobody/table.csv", "benchmarks/results_mocap/nobody/table.csv does not exist"),
        ("results_mocap/martinez/table.csv | way = there", "no column 'way'; there are direction, network, row"),
        ("results_mocap/martinez/table.csv | without colour", "no column 'colour'"),
        ("results_mocap/martinez/table.csv | row = nothing", "no row has row = nothing"),
    ],
)
def test_a_place_that_no_table_fills_is_named(copy, place, words):
    (copy / script.TEMPLATE).write_text(f"# Results\n\n{{{{ {place} }}}}\n")
    with pytest.raises(DuaError, match=r"benchmarks/results_page\.md, line 3: ") as error:
        script.filled(copy)
    assert words in str(error.value)


def test_a_readme_without_a_place_for_the_table_is_refused(copy):
    change(copy / script.README, "<!-- end of headline -->", "")
    with pytest.raises(DuaError, match="end of headline"):
        script.pages(copy)
