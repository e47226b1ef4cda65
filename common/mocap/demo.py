"""The demo data, built when it is first asked for."""

import json
import os
import subprocess
import sys
from pathlib import Path

from common.compute.distributed import alone
from common.errors import DuaError

DATASET_FORMAT = 2
"""Of `dataset.json`, and of what the builder draws; 2: SURREAL's camera follows the pelvis of a clip's first frame."""

_ROOT = Path(__file__).resolve().parents[2]
DEMO = _ROOT / "data" / "demo"


def is_demo(data_dir: str | Path) -> bool:
    """Whether it is the folder of the demo data, built or not."""
    return os.path.realpath(data_dir) == str(DEMO)  # `Path.resolve` raises on links that lead back to themselves


def build_demo_if_missing(data_dir: str | Path) -> None:
    """Build the demo data if `data_dir` is its folder and it is not there, or of an older format, which takes seconds.

    Raises:
        DuaError: the builder failed; it has said why.
    """
    from common.datasets.h36m import path_2d  # here, not above: who lifts asks of the demo's name alone

    if not is_demo(data_dir):
        return
    try:
        of_now = json.loads((DEMO / "dataset.json").read_text())["format"] == DATASET_FORMAT
        if of_now and path_2d(DEMO, "detector").exists():  # which came later; the rest is the same
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    print("the demo data is built first: python data/prepare_data_demo.py", flush=True)
    if subprocess.run([sys.executable, "data/prepare_data_demo.py"], cwd=_ROOT, env=alone()).returncode:
        raise DuaError("building the demo data failed, see above")
