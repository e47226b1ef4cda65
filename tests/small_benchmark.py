"""`benchmarks/cross_dataset.py` with trainings that are over at once, for tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import cross_dataset, rows
from common.errors import run_script

for key in rows.PRESETS:
    rows.PRESETS[key] = "--hid_dim 16 --batch_size 64 --limit_batches 2 --epochs 1 --downsample 3 --device cpu"

if __name__ == "__main__":
    run_script(cross_dataset.main)
