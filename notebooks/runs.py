"""What the notebooks begin with: data and trained runs, made if they are not there.

Environment variables change where they are, for tests and for data of your own: `DUA_NOTEBOOK_DATA` a folder with both domains
(default: data/demo), `DUA_NOTEBOOK_RUNS` where runs are trained (default: checkpoint/notebooks), `DUA_NOTEBOOK_OPTIONS` further
options of every training (`--epochs 1`). Relative paths start at the repository.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from common.threads import bound_spinning

bound_spinning()  # before torch is imported

from common.errors import DuaError
from common.mocap.demo import DEMO, build_demo_if_missing

ROOT = Path(__file__).resolve().parents[1]
DATA_DIR = ROOT / os.environ.get("DUA_NOTEBOOK_DATA", DEMO)
"""Where the notebooks' data are."""


def trained(name: str, command: str) -> Path:
    """The run folder that a training script made, in `checkpoint/notebooks/<name>`; trains it if there is none.

    A run is taken up only if it was made by the same command and is not older than the data.

    Args:
        command: script and options as after `python`, but for the folders of data and checkpoints and the device, which is the
            CPU: networks of this size gain nothing from another, and results stay the same.

    Raises:
        DuaError: the data cannot be built, or the script failed.
    """
    build_demo_if_missing(DATA_DIR)
    folder = ROOT / os.environ.get("DUA_NOTEBOOK_RUNS", "checkpoint/notebooks") / name
    words = [*command.split(), *os.environ.get("DUA_NOTEBOOK_OPTIONS", "").split()]
    words += ["--data_dir", shown(DATA_DIR), "--checkpoint", shown(folder), "--device", "cpu"]
    said = f"python {' '.join(words)}"
    found = _finished(folder, words)
    if found is not None:
        print(f"{said}\n  trained: {shown(found)}")
        return found
    print(said, flush=True)
    process = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no message"])[-1]
        raise DuaError(f"{said} ended with {process.returncode}: {last}")
    (made,) = (path for path in folder.iterdir() if not path.name.startswith("run_"))
    # Runs are named by their time, which would stand in what the next command is and prints.
    run = made.rename(folder / f"run_{1 + sum(1 for _ in folder.glob('run_*'))}")
    print(f"  trained: {shown(run)}")
    return run


def shown(path: Path) -> str:
    """A path as a command or an option names it: from the repository, if it is in there."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _finished(folder: Path, words: list[str]) -> Path | None:
    """The run in `folder` that `words` made, to the end, on data as they are now."""
    described = DATA_DIR / "dataset.json"
    data_made = described.stat().st_mtime if described.exists() else 0.0
    for config in folder.glob("run_*/config.json"):
        # Written last: by the converter's script, or by those of lifting networks.
        results = [path for name in ("conversion.json", "results.json") if (path := config.parent / name).exists()]
        if results and results[0].stat().st_mtime > data_made and json.loads(config.read_text())["command"] == " ".join(words):
            return config.parent
    return None
