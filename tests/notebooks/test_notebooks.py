import json
import os
import re
import subprocess
from pathlib import Path
from unittest import mock

import nbformat
import numpy as np
import pytest
import torch

from common.adaptation.domain_gap import distance, principal_plane
from common.errors import DuaError
from common.evaluation.calibration import Calibration
from common.uncertainty.findings import findings
from common.uncertainty.report import CONSTANT, Judged
from common.uncertainty.scores import score
from notebooks import runs as notebook
from tests.conftest import ROOT, run_script

SAVED = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in SAVED]
_MACHINE_PATH = re.compile(r"(?<![\w.:/<])/(?:[\w.-]+/)+|[A-Z]:\\")


def read(path):
    return nbformat.read(path, as_version=4)


def outputs(content):
    return [output for cell in content.cells if cell.cell_type == "code" for output in cell.outputs]


def text_of(content):
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in outputs(content))


@pytest.fixture(scope="module")
def executed(demo, tmp_path_factory):
    """All notebooks, run as `notebooks/run.py` does, with trainings that are over at once; the first from the repository's root."""
    out = tmp_path_factory.mktemp("notebooks")
    environment = {
        "DUA_NOTEBOOK_DATA": str(demo),
        "DUA_NOTEBOOK_RUNS": str(out / "runs"),
        "DUA_NOTEBOOK_OPTIONS": "--epochs 1 --limit_batches 8",
    }
    with mock.patch.dict(os.environ, environment):
        for names in ((NAMES[0], "--working_dir", ROOT), NAMES[1:]):
            process = run_script("notebooks/run.py", *names, "--out", out)
            assert process.returncode == 0, process.stdout + process.stderr
    return out


@pytest.mark.campaign
def test_every_notebook_runs_to_its_end(executed):
    for path in SAVED:
        ran = read(executed / path.name)
        said = [output for output in outputs(ran) if output.output_type == "error" or output.get("name") == "stderr"]
        # At most one warning of a converter that so short a training left bad, where it is named; nothing else is said.
        assert all("failed its own check" in output.get("text", "") and output.text.count("\n") == 1 for output in said), said
        code = [cell for cell in ran.cells if cell.cell_type == "code"]
        kinds = [[output.output_type for output in cell.outputs if output not in said] for cell in code]
        assert all(kinds), path.name
        # What was saved is of the cells that run here, and has as many pictures and texts.
        saved = read(path)
        assert [cell.source for cell in saved.cells] == [cell.source for cell in ran.cells]
        assert [[output.output_type for output in cell.outputs] for cell in saved.cells if cell.cell_type == "code"] == kinds


@pytest.mark.campaign
def test_notebooks_share_what_is_trained(executed):
    for folder in (executed / "runs").iterdir():
        assert [run.name for run in folder.iterdir()] == ["run_1"], folder
    assert {"prob", "converter"} <= {folder.name for folder in (executed / "runs").iterdir()}


def test_saved_notebooks_are_complete_small_and_of_no_machine():
    assert len(SAVED) == 3
    for path in SAVED:
        saved = read(path)
        code = [cell for cell in saved.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), path.name
        assert all(cell.outputs for cell in code)
        assert not any(output.output_type == "error" for output in outputs(saved))
        assert not _MACHINE_PATH.search(text_of(saved)), _MACHINE_PATH.search(text_of(saved))
        assert path.stat().st_size < 700_000
        assert set(saved.metadata) == {"kernelspec", "language_info"}
        assert saved.metadata.kernelspec.name == "python3"
        assert not any(cell.metadata for cell in saved.cells)
        assert sum("image/png" in output.get("data", {}) for output in outputs(saved)) >= 2


def test_the_pattern_of_machine_paths_finds_some():
    assert _MACHINE_PATH.search("trained: /home/me/dua/run") and _MACHINE_PATH.search(r"C:\dua")  # noqa: PT018
    assert not _MACHINE_PATH.search("checkpoint/notebooks/prob/run_1 and H3.6M/SURREAL, poses / s")


def test_a_run_is_made_again_only_for_another_command_or_newer_data(demo, tmp_path, monkeypatch, capsys):
    made = []

    def script(words, **options):
        """Leaves what a training script leaves."""
        if "0" in words:
            return subprocess.CompletedProcess(words, 2, "", "error: --epochs 0: at least 1 is needed\n")
        folder = Path(words[words.index("--checkpoint") + 1]) / f"2026-01-01_00-00-0{len(made)}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"command": " ".join(words[1:])}))
        (folder / "results.json").write_text("{}")
        made.append(words[1:])
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(notebook, "DATA_DIR", demo)
    monkeypatch.setattr(notebook.subprocess, "run", script)
    monkeypatch.setenv("DUA_NOTEBOOK_RUNS", str(tmp_path))
    monkeypatch.setenv("DUA_NOTEBOOK_OPTIONS", "--limit_batches 1")
    first = notebook.trained("a", "main_prob.py --epochs 1")
    said = f"main_prob.py --epochs 1 --limit_batches 1 --data_dir {demo} --checkpoint {tmp_path / 'a'} --device cpu"
    assert capsys.readouterr().out == f"python {said}\n  trained: {first}\n"
    assert notebook.trained("a", "main_prob.py --epochs 1") == first == tmp_path / "a" / "run_1"
    assert made == [said.split()]
    assert capsys.readouterr().out == f"python {said}\n  trained: {first}\n", "whether it was there changes no output"
    assert notebook.trained("a", "main_prob.py --epochs 2") == tmp_path / "a" / "run_2"
    (first / "results.json").unlink()  # cut off before its end
    assert notebook.trained("a", "main_prob.py --epochs 1") == tmp_path / "a" / "run_3"
    os.utime(tmp_path / "a" / "run_3" / "results.json", (0, 0))  # the data are newer
    assert notebook.trained("a", "main_prob.py --epochs 1") == tmp_path / "a" / "run_4"
    with pytest.raises(DuaError, match=r"ended with 2: error: --epochs 0: at least 1"):
        notebook.trained("a", "main_prob.py --epochs 0")


def test_the_plane_is_that_of_most_variance_and_the_distance_knows_no_unit():
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(8, 8, generator=generator))[0]
    spread = torch.tensor([9.0, 5.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    a = torch.randn(3000, 8, generator=generator) * spread @ basis + 3
    b = torch.randn(3000, 8, generator=generator) * spread @ basis + 3
    on_a, on_b, share = principal_plane(a, b)
    expected = torch.cat([a - 3, b - 3]) @ basis.T[:, :2]
    found = torch.cat([on_a, on_b])
    assert share == pytest.approx(106 / 107.5, abs=0.005)
    for axis in range(2):
        correlation = np.corrcoef(found[:, axis], expected[:, axis])[0, 1]
        assert abs(correlation) > 0.999
    assert abs(distance(a, b)) < 3
    assert distance(a, b + 9 * basis[0]) > 50
    assert distance(1000 * a, 1000 * (b + 9 * basis[0])) == pytest.approx(distance(a, b + 9 * basis[0]), rel=1e-3)


def judged(method, test, expected, errors, calibration):
    targets = torch.zeros(len(errors), 16, 3)
    predicted = targets.clone()
    predicted[:, 1:, 0] = errors[:, 1:] / 1000
    scores = score(expected, predicted, targets, None if method == CONSTANT else calibration)
    return Judged({"checkpoint": "a"}, method, test, "gt", "in domain" if test == "near" else "across", "h36m", scores)


def test_findings_follow_the_numbers():
    generator = torch.Generator().manual_seed(0)
    errors = 50 + 100 * torch.rand(400, 16, generator=generator) * torch.rand(400, 1, generator=generator)
    errors[:, 0] = 0
    knows, wrong = errors.clone(), 150 - errors
    wrong[:, 0] = 0
    calibration = Calibration("metres", (0.0,) * 16, (1.0, 1000.0), (1.0, 1000.0), (1.01,) * 4, 1)
    rows = [
        judged(method, test, expected * factor, errors, calibration)
        for test, factor in (("near", 1.0), ("far", 0.5))
        for method, expected in (("knows", knows), ("wrong", wrong), (CONSTANT, torch.ones(400, 16)))
    ]
    said = "\n".join(findings(rows))
    assert "near, in domain: no better than a constant at ranking poses: wrong." in said
    assert re.search(r"near, in domain, size: .*knows (\d+) against \1 mm \(within 5 %\)", said)
    assert re.search(r"far, across, size: .*knows \d+ against \d+ mm \(50 % too small\)", said)
    assert (
        "from near to far, knows: the error is 1.00 times as large, the expected error 0.50 times; coverage goes from 100 to 0 %"
        in said
    )
    assert "the measures do not agree on the best: AUSE of poses: knows; AUSE of joints: knows; ENCE: knows; distance" in said
    alone = "\n".join(findings([row for row in rows if row.method != "wrong"]))
    assert "all rank poses better than a constant" in alone
    assert "best by every measure on every test set: knows." in alone
