"""What takes long to import is imported by what uses it: not for `--help`, nor to say that a file is missing."""

import json
import os

from benchmarks.speed_imports import BAD_INPUTS
from tests.conftest import ROOT, run_script
from tests.helpers.script_tools import QUICK

HEAVY = ("matplotlib", "scipy", "h5py", "torch._dynamo", "sympy")
PROGRAM = """
import contextlib, io, json, runpy, sys
root, heavy, calls = json.loads(sys.argv[1])
told = []
for name, arguments in calls:
    output, code = io.StringIO(), 0
    sys.argv = [name, *arguments]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            runpy.run_path(f"{root}/{name}", run_name="__main__")
        except SystemExit as stop:
            code = stop.code or 0
    told.append([code, output.getvalue(), [module for module in (*heavy, "torch") if module in sys.modules]])
print(json.dumps(told))
"""


def told_of(calls, folder):
    """(exit code, output, which of `HEAVY` and torch are imported by then) of scripts that run after each other in one process."""
    given = json.dumps([str(ROOT), HEAVY, calls])
    process = run_script("-c", PROGRAM, given, cwd=folder)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def test_help_and_bad_input_import_nothing_that_only_work_takes(tmp_path):
    helps = [(script, ["--help"]) for script in BAD_INPUTS]
    told = told_of([*helps, *BAD_INPUTS.items()], tmp_path)
    for script, (code, output, imported) in zip(BAD_INPUTS, told[: len(helps)], strict=True):
        assert code == 0, output
        assert "usage: " in output
        assert imported == ["torch"], script
    for script, (code, output, imported) in zip(BAD_INPUTS, told[len(helps) :], strict=True):
        assert code == 2, (script, output)
        (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
        assert "not/there" in line, (script, line)
        assert imported == ["torch"], script
    assert not list(tmp_path.iterdir())


def test_nor_does_the_import_that_notebooks_begin_with(tmp_path):
    program = f"import sys, common.predictor; print([name for name in {HEAVY} if name in sys.modules])"
    assert run_script("-c", program).stdout.strip() == "[]"


def test_a_training_does_not_import_torchs_compiler(demo, tmp_path):
    """Which torch's own optimisers do, in order to be left out of it."""
    options = ["--data_dir", str(demo), "--checkpoint", str(tmp_path / "runs"), *map(str, QUICK)]
    ((code, output, imported),) = told_of([("main_prob.py", options)], tmp_path)
    assert code == 0, output
    assert "torch" in imported
    assert not {"torch._dynamo", "sympy"} & set(imported)


def test_it_would_be_seen(tmp_path):
    (tmp_path / "heavy.py").write_text("import h5py\n")
    assert told_of([(os.path.relpath(tmp_path / "heavy.py", ROOT), [])], tmp_path) == [[0, "", ["h5py"]]]
