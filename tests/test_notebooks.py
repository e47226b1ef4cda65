"""The notebooks run from end to end, in their folder and at the repository's root, and are saved as they should be."""

import os
import re

import nbformat
import pytest

from tests.conftest import ROOT, run_script

FOLDER = ROOT / "notebooks"
NAMES = ("1_predict", "2_domain_gap", "3_uncertainty")


def test_there_are_no_others():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_saved_with_outputs_and_nothing_of_a_machine(name):
    path = FOLDER / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"] == list(
        range(1, 1 + sum(cell.cell_type == "code" for cell in notebook.cells))
    )  # run once, in order
    texts = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    assert not [text for text in texts if re.search(r"(^|[\s'\"])(/[a-z]+/|[A-Z]:\\)", text)]
    assert "Warning" not in "".join(texts)
    assert not any(cell.metadata for cell in notebook.cells)
    assert path.stat().st_size < 700_000


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("name", NAMES)
def test_runs(demo, runs, tmp_path, monkeypatch, name):
    """On the smallest trainings there are, which the notebooks share."""
    monkeypatch.setenv("DUA_NOTEBOOK_DATA", str(demo))
    monkeypatch.setenv("DUA_NOTEBOOK_RUNS", str(runs))
    monkeypatch.setenv("DUA_NOTEBOOK_OPTIONS", "--epochs 1 --limit_batches 5 --batch_size 64")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    where = FOLDER if name == NAMES[0] else ROOT
    process = run_script("notebooks/run.py", name, "--out", tmp_path, "--working_dir", where)
    assert process.returncode == 0, process.stderr
    made = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4)
    saved = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert [cell.source for cell in made.cells] == [cell.source for cell in saved.cells]
    for one, two in zip(made.cells, saved.cells, strict=True):
        kinds = [[output.output_type for output in cell.get("outputs", [])] for cell in (one, two)]
        assert kinds[0] == kinds[1], one.source
    assert not os.path.exists(tmp_path / "checkpoint")


def test_a_name_that_is_none():
    process = run_script("notebooks/run.py", "4_more")
    assert process.returncode == 2
    assert "no notebook '4_more'" in process.stderr
