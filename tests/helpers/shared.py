"""Folders that are made once for a whole session of tests, whichever of its worker processes asks first."""

import fcntl
import os
import shutil


def shared(tmp_path_factory, name, make):
    """The folder NAME, which `make(folder)` has filled once; the other workers (pytest-xdist) wait for it, and find it.

    It belongs to all: a test that changes or adds files works on a copy. Where `make` fails, the next who asks tries anew.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has its folder in the session's
    folder, made = base / f"shared_{name}", base / f"shared_{name}.made"
    with open(base / f"shared_{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it when a worker dies
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
