"""A process that starts as one way to train does, and says when its first step is done and how much memory it has taken after some.

    python benchmarks/speed_start.py WAY NETWORK BATCH_SIZE DATA_DIR DEVICE SPAWNED [SCRIPT OPTION ...]

`benchmarks/speed.py` starts it, and SPAWNED is its clock at that moment. `ours` is the training SCRIPT itself. `published` reads the
files as we do, since its own reader is not transcribed, then works as it does. `floor` makes a network and a batch of random numbers.
"""

import json
import os
import resource
import runpy
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

STEPS = 5
"""After which memory is read: Adam's moments and the allocator's reserves are there by then."""


def main() -> None:
    way, network, batch_size, data_dir, device, spawned, *script = sys.argv[1:]
    if way == "ours":
        import common.start  # noqa: F401 (as the script does, before torch)
    watch_steps(float(spawned), device)
    if way == "ours":
        train_script(batch_size, data_dir, device, *script)
    else:
        train_way(way, network, int(batch_size), data_dir, device)


def watch_steps(spawned: float, device: str) -> None:
    """Print, as JSON, the seconds until the first step of any optimiser is done (by the clock, and the process's own) and the peak memory
    after `STEPS`, and leave."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    seconds: list[dict[str, float]] = []

    def after_step(*_: Any) -> None:
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        seconds.append({"first_step_s": time.time() - spawned, "first_step_cpu_s": time.process_time()})
        if len(seconds) == STEPS:
            print(json.dumps({**seconds[0], "peak_mb": peak_mb(device)}), flush=True)
            os._exit(0)  # nothing is saved and no epoch ends

    register_optimizer_step_post_hook(after_step)


def peak_mb(device: str) -> float:
    """Of the device on CUDA, otherwise of this process."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    try:  # Linux counts in `ru_maxrss` what the process that started this one held
        (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def train_script(batch_size: str, data_dir: str, device: str, script: str, *given: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--data_dir", data_dir, "--device", device, "--batch_size", batch_size, "--checkpoint", folder]
        sys.argv = [script, *options, "--epochs", "1", "--limit_batches", str(STEPS), *given]
        runpy.run_path(str(ROOT / script), run_name="__main__")


def train_way(way: str, network: str, batch_size: int, data_dir: str, device: str) -> None:
    import torch

    from benchmarks.speed_ways import Setting, floor, new_networks, published, random_poses
    from common.datasets.h36m import load_h36m

    poses = load_h36m(data_dir) if way == "published" else random_poses(batch_size)
    setting = Setting(network, new_networks(network, torch.device(device)), poses, poses, batch_size, torch.device(device))
    way_to_train = published(setting, workers=2) if way == "published" else floor(setting)
    way_to_train.train(STEPS)


if __name__ == "__main__":
    main()
