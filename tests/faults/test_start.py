"""The first second of a script, in which it imports; and places that lead nowhere."""

import os
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.faults.forks import run
from tests.helpers.script_tools import QUICK, assert_one_line

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))
SCRIPTS += [f"data/prepare_data_{name}.py" for name in ("demo", "h36m", "h36m_smpl", "surreal")]


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_while_it_imports(tmp_path, script):
    """The heavy packages are stood in for by modules that are interrupted."""
    for name in ("torch", "numpy", "matplotlib", "h5py", "scipy"):
        (tmp_path / f"{name}.py").write_text("raise KeyboardInterrupt")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.run([sys.executable, ROOT / script, "--help"], env=environment, capture_output=True, text=True)
    assert process.stderr == "interrupted\n"
    assert process.returncode == -signal.SIGINT  # shells show 130


@pytest.mark.parametrize(("backend", "lines"), [("nonsense", 1), ("agg", 0)])
def test_a_backend_that_matplotlib_does_not_know(backend, lines):
    code = "import common.start, matplotlib.figure, os; print(matplotlib.rcParams['backend'], 'MPLBACKEND' in os.environ)"
    environment = {**os.environ, "MPLBACKEND": backend}
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert process.stderr.count("\n") == process.stderr.count(f"MPLBACKEND='{backend}'") == lines
    if not lines:
        assert process.stdout == "agg True\n"


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("main_prob.py", "--data_dir", "DATA", "--checkpoint", "LOOP", *QUICK), marks=pytest.mark.campaign),
        pytest.param(("main_prob.py", "--data_dir", "LOOP", *QUICK), marks=pytest.mark.campaign),
        pytest.param(("main_prob.py", "--resume", "LOOP"), marks=pytest.mark.campaign),
        ("evaluate.py", "LOOP", "--data_dir", "DATA"),
        ("plots.py", "LOOP", "--out", "LOOP"),
        ("predict.py", "LOOP", "--checkpoint", "LOOP", "--out", "LOOP"),
        ("viz.py", "--evaluate", "LOOP", "--viz_subject", "S11", "--viz_action", "Kick", "--viz_output", "LOOP/a.gif"),
        ("data/prepare_data_demo.py", "--takes", 1, "--out", "LOOP"),
        ("data/prepare_data_surreal.py", "--from-surreal", "LOOP", "--out", "LOOP"),
        ("data/prepare_data_h36m.py", "--from-mat", "LOOP", "--out", "LOOP"),
        ("data/prepare_data_bvh.py", "LOOP", "--out", "LOOP"),
    ],
    ids=lambda command: " ".join(map(str, command[:4])),
)
def test_a_link_that_leads_back_to_itself(demo, tmp_path, command):
    loop = tmp_path / "loop.npz"
    loop.symlink_to(loop.name)
    words = [str(word).replace("LOOP", str(loop)).replace("DATA", str(demo)) for word in command]
    assert_one_line(run(tmp_path / "log", *words), str(loop))
