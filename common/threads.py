"""How the threads of one matrix product wait for each other on a machine that others use as well."""

import os
import sys
from collections.abc import MutableMapping

SPINS = "1000"
"""Rounds of GNU OpenMP's waiting loop before a thread goes to sleep; its own default is 300,000, some milliseconds of a core that a
process beside may need. Chosen by `benchmarks/speed.py --busy`: it costs 6 % on an idle machine and doubles to quadruples a busy one's
speed."""

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_NUM_THREADS")
"""What a user says of it. With a number of threads comes the wish to know best: nothing is changed."""


def bound_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting threads sleep soon, unless the environment says how they wait, or how many there are.

    To be called before torch is imported: OpenMP reads its settings once, when it is loaded.
    """
    if "torch" not in sys.modules and not any(name in environment for name in SETTINGS):
        environment["GOMP_SPINCOUNT"] = SPINS
