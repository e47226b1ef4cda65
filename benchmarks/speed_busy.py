"""Training beside other work: how threads that wait for each other share the cores. `benchmarks/speed.py --busy` prints the table.

    python benchmarks/speed_busy.py NETWORK BATCH_SIZE SECONDS    # one measurement, in the environment that it is started with

Each figure is of a process of its own, because OpenMP reads how to wait when torch is loaded. Ways and loads take turns, so that what
comes and goes on the machine meets all of them; figures are medians of the rounds.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that `common` is found from the repository root

from common.errors import DuaError
from common.threads import SETTINGS, SPINS

WAYS = {
    "as OpenMP has it": {},
    "spin 100,000": {"GOMP_SPINCOUNT": "100000"},
    "spin 10,000": {"GOMP_SPINCOUNT": "10000"},
    "spin 1,000 (ours)": {"GOMP_SPINCOUNT": SPINS},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
"""{how threads wait: its environment}."""

_COMPETITOR = "while True: pass"


def table(network: str, batch_size: int, rounds: int, seconds: float, loads: Sequence[int]) -> list[tuple[str, ...]]:
    """Poses a second by way, with so many competing processes each, and as a share of the first way's on the idle machine."""
    found: dict[tuple[str, int], list[float]] = {(way, load): [] for way in WAYS for load in loads}
    for _ in range(rounds):
        for load in loads:
            for way in WAYS:
                with competing(load):
                    found[way, load].append(measured(network, batch_size, seconds, WAYS[way]))
    medians = {key: statistics.median(rates) for key, rates in found.items()}
    idle = medians[next(iter(WAYS)), loads[0]]
    return [
        (way, *(cell for load in loads for cell in (f"{medians[way, load]:.0f}", f"{medians[way, load] / idle:.2f}")))
        for way in WAYS
    ]


def columns(loads: Sequence[int]) -> list[str]:
    names = ["idle" if load == 0 else f"beside {load}" for load in loads]
    return ["threads wait", *(column for name in names for column in (f"{name}, poses/s", "of idle"))]


@contextmanager
def competing(count: int) -> Iterator[None]:
    """So many processes that want a core each, while this is open."""
    processes = [subprocess.Popen([sys.executable, "-c", _COMPETITOR]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measured(network: str, batch_size: int, seconds: float, settings: dict[str, str]) -> float:
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | settings
    words = [sys.executable, str(ROOT / "benchmarks" / "speed_busy.py"), network, str(batch_size), str(seconds)]
    process = subprocess.run(words, capture_output=True, text=True, env=environment)
    try:
        return float(process.stdout)
    except ValueError as error:
        raise DuaError(f"{' '.join(words[1:])} measured nothing: {process.stderr.strip()[-300:]}") from error


def main() -> None:
    network, batch_size, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    import torch  # here: what starts this process needs none

    from benchmarks.speed_ways import Setting, new_networks, ours, random_poses

    device = torch.device("cpu")
    torch.set_flush_denormal(True)
    poses = random_poses(8 * batch_size)
    way = ours(Setting(network, new_networks(network, device), poses, poses, batch_size, device))
    way.train(3)
    steps, started = 0, time.perf_counter()
    while steps == 0 or time.perf_counter() - started < seconds:
        way.train(5)
        steps += 5
    print(steps * batch_size / (time.perf_counter() - started))


if __name__ == "__main__":
    main()
