"""Tasks of processes: their order, what they say, how they fail and how they are stopped."""

import os
import signal
import subprocess
import sys
import time

import pytest

from common.compute.processes import Processes
from common.errors import DuaError
from tests.conftest import ROOT


def work(shared: str, task: int) -> str:
    if task == 0:
        time.sleep(0.2)  # the first is the last to be done
    print(f"warning: {task}", file=sys.stderr)
    if task in (5, 6):
        raise DuaError(f"{task} is damaged")
    return f"{shared}{task}"


def die(shared: str, task: int) -> None:
    os._exit(1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_and_lines_come_in_order(jobs: int, capfd: pytest.CaptureFixture[str]) -> None:
    with Processes(jobs, "clip", "worked") as processes:
        assert list(processes.in_order(work, range(5))) == [f"clip{i}" for i in range(5)]
        assert processes.submit(work, 7)() == "clip7"
    assert capfd.readouterr().err.split("\n") == [*(f"warning: {i}" for i in (0, 1, 2, 3, 4, 7)), ""]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_error_is_raised(jobs: int, capfd: pytest.CaptureFixture[str]) -> None:
    found = []
    with pytest.raises(DuaError, match=r"^5 is damaged$"), Processes(jobs, "", "worked") as processes:
        found.extend(processes.in_order(work, range(8)))
    assert found == ["0", "1", "2", "3", "4"][: len(found)]
    assert len(found) == 0 or found[-1] == "4"
    assert "warning: 6" not in capfd.readouterr().err


def test_tasks_are_not_asked_for_long_before_their_turn() -> None:
    asked = []

    def tasks() -> object:
        for i in range(100):
            asked.append(i)
            yield 10 + i

    with Processes(2, "", "worked") as processes:
        results = processes.in_order(work, tasks())
        next(results)
        assert len(asked) < 10
        results.close()


def test_a_process_that_dies_is_said() -> None:
    with (
        pytest.raises(DuaError, match=r"a process that read motions died, .* fewer --workers"),
        Processes(2, "", "read motions") as pool,
    ):
        list(pool.in_order(die, range(3)))


def test_no_process_is_refused() -> None:
    with pytest.raises(DuaError, match="--workers 0: at least 1"):
        Processes(0, "", "worked")


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_that_is_asked_for_ends_all_of_them(jobs: int, number: int) -> None:
    code = (
        "import time\nfrom itertools import count\nfrom common.compute.processes import Processes\n"
        "def nap(shared, task):\n    time.sleep(0.01)\n    return task\n"
        f"with Processes({jobs}, None, 'napped') as processes:\n"
        "    for i in processes.in_order(nap, count()):\n        print(i, flush=True)\n"
    )
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, number)
    _, stderr = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in stderr.splitlines()[-1]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
