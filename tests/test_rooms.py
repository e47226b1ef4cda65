"""The house: what the import contract (`lint-imports`, in pyproject.toml) cannot say of it."""

import ast
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

ROOMS = sorted(path.parent for path in ROOT.glob("common/*/__init__.py"))
SCRIPTS = sorted(ROOT.glob("*.py"))


def imported(path):
    """Modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_says_what_belongs_in_it_and_holds_no_more_than_fits(room):
    tree = ast.parse((room / "__init__.py").read_text())
    assert len(ast.get_docstring(tree) or "") > 60
    assert len(tree.body) == 1, "a room's __init__ is a docstring"
    assert 3 <= len(list(room.glob("*.py"))) - 1 <= 14


def test_no_file_of_common_is_longer_than_a_reader_s_breath():
    assert not [path for path in ROOT.glob("common/**/*.py") if len(path.read_text().splitlines()) > 300]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_start_with_what_tells_of_a_bad_start_and_do_not_import_each_other(script):
    modules = list(imported(script))
    assert modules[0] == "common.start"
    assert not set(modules) & {other.stem for other in SCRIPTS}


def test_networks_know_torch_alone():
    own = {module.split(".")[0] for path in ROOT.glob("models/*.py") for module in imported(path)}
    assert own - set(sys.stdlib_module_names) == {"torch", "models"}


def test_importing_common_changes_nothing_of_the_process():
    code = (
        "import os, signal, sys\n"
        "before = sys.excepthook, dict(os.environ), signal.getsignal(signal.SIGINT)\n"
        "import common, common.predictor\n"
        "print(before == (sys.excepthook, dict(os.environ), signal.getsignal(signal.SIGINT)))\n"
    )
    environment = {**os.environ, "MPLBACKEND": "nonsense"}
    environment.pop("OMP_NUM_THREADS", None)
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert process.stdout == "True\n", process.stderr
    assert "MPLBACKEND" not in process.stderr
