"""`benchmarks/cross_dataset.py` with trainings that are over at once, for tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import cross_dataset, rows
from common.start import run_script

SMALL = rows.Size(("--hid_dim", "16", "--device", "cpu"), 64, 3, 2, 1)

if __name__ == "__main__":
    rows.PRESETS.update(dict.fromkeys(rows.PRESETS, SMALL))
    run_script(cross_dataset.main)
