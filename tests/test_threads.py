"""How threads wait: `common.threads`."""

import os
import subprocess
import sys

import pytest

from common.threads import SETTINGS, SPINS, bound_spinning
from tests.conftest import ROOT

SHOW = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"


def shown(code, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=clean | environment, capture_output=True, text=True)
    return process.stdout.strip()


def test_scripts_bound_it_before_torch_is_imported():
    assert shown(f"import sys, common.start; assert 'torch' not in sys.modules; {SHOW}") == SPINS
    assert shown(f"import notebooks.runs; {SHOW}") == SPINS


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("GOMP_SPINCOUNT", "7", "7"), ("OMP_WAIT_POLICY", "active", "None"), ("OMP_NUM_THREADS", "1", "None")],
)
def test_what_the_user_has_said_stays(name, value, expected):
    assert shown(f"import common.start; {SHOW}", **{name: value}) == expected


def test_once_torch_is_there_it_is_too_late():
    import torch  # noqa: F401

    environment = {}
    bound_spinning(environment)
    assert environment == {}
