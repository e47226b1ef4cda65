"""kill -9 at any instant: what lies there afterwards is whole, and the repeated or resumed run ends as one that was left alone.

    DUA_FAULT_KILLS=30 pytest -s tests/faults/test_kill.py      # a campaign of so many kills of each kind, with counts
    DUA_FAULT_SEED=7 ...                                        # at other instants

Instants are drawn evenly over the time that the script takes when it is left alone. The few microseconds within
`common.files.writing.atomic_write` are hardly ever met by chance: there the process kills itself at the n-th call.
"""

import csv
import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.training.checkpoint import load_checkpoint
from tests.faults.forks import count_renames, die_at, run, run_and_kill
from tests.helpers.script_tools import assert_same_bits, only_run
from tests.helpers.surreal_files import write_tree

SEED = int(os.environ.get("DUA_FAULT_SEED", "0"))
KILLS = int(os.environ.get("DUA_FAULT_KILLS", "0"))

TRAINING = ("--device", "cpu", "--downsample", 8, "--epochs", 3, "--snapshot", 2)
TRAININGS = {
    "lifter": ("main_prob.py", *TRAINING, "--hid_dim", 16, "--limit_batches", 5),
    "converter": ("conversion.py", *TRAINING),
}


def attempts(usual):
    return range(KILLS or usual)


@dataclass
class Whole:
    """A script that was left alone: how long it took, how often it renamed a file, and the folder that it filled."""

    folder: Path
    seconds: float
    renames: int


@pytest.fixture(scope="module")
def left_alone(tmp_path_factory):
    """(script, arguments, with the folder in the place of OUT) -> `Whole`, run once."""
    known = {}

    def get(*command):
        if command not in known:
            base = tmp_path_factory.mktemp("whole")
            run(base / "log", "main_prob.py", "--help")  # the server starts
            out, log, renames = base / "out", base / "log", base / "renames"
            out.mkdir()
            started = time.perf_counter()
            process = run(log, *filled(command, out), before=count_renames, with_=(renames,))
            assert process.returncode == 0, process.stderr
            known[command] = Whole(out, time.perf_counter() - started, int(renames.read_text()))
        return known[command]

    return get


@pytest.fixture(scope="module")
def hits():
    """{kind: how many kills came when}, printed at the end of a campaign."""
    counted = {}
    yield lambda kind, when: counted.setdefault(kind, Counter()).update([when])
    if KILLS:
        print("", *(f"{kind}: {dict(when)}" for kind, when in counted.items()), sep="\n")


def filled(command, out):
    return [str(word).replace("OUT", str(out)) for word in command]


def instant(kind, attempt, seconds):
    """When to kill. A failure shows it, and the seed repeats it as far as the machine does."""
    rng = np.random.default_rng([SEED, *kind.encode(), attempt])
    drawn = rng.uniform(0, 1.05 * seconds)
    print(f"killed after {drawn:.4f} of {seconds:.4f} s")
    return drawn, rng


def visible(folder):
    return {path.name: path for path in folder.iterdir() if not path.name.startswith(".")} if folder.exists() else {}


def leftovers(folder):
    return [str(path) for path in folder.rglob(".*")]


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.parametrize("attempt", attempts(12))
def test_training(demo, left_alone, hits, tmp_path, attempt):
    """Half of the resumed runs are killed once more."""
    network = "converter" if attempt % 4 == 3 else "lifter"
    command = (*TRAININGS[network], "--data_dir", demo, "--checkpoint", "OUT")
    whole = left_alone(*command)
    after, rng = instant(network, attempt, whole.seconds)
    killed = run_and_kill(tmp_path / "log", after, *filled(command, tmp_path / "out"))
    hits("training", when_killed(killed, tmp_path / "out"))
    if rng.random() < 0.5:
        folders = list(visible(tmp_path / "out").values())
        if folders:
            run_and_kill(tmp_path / "log", rng.uniform(0, whole.seconds), command[0], "--resume", folders[0])
    ends_as_the_whole_run(command, whole, tmp_path)


@pytest.mark.campaign
@pytest.mark.parametrize("attempt", attempts(5))
def test_training_killed_while_it_writes(demo, left_alone, tmp_path, attempt):
    command = (*TRAININGS["lifter"], "--data_dir", demo, "--checkpoint", "OUT")
    whole = left_alone(*command)
    function = ("fsync", "replace", "replaced")[attempt % 3]
    calls = whole.renames * (2 if function == "fsync" else 1)  # a file is brought to the disk, then its name
    call = int(np.random.default_rng([SEED, attempt]).integers(calls)) + 1
    print(f"killed at {function} number {call} of {calls}")
    killed = run(tmp_path / "log", *filled(command, tmp_path / "out"), before=die_at, with_=(function, call))
    assert killed.returncode == -9, killed.stderr
    ends_as_the_whole_run(command, whole, tmp_path)


@pytest.mark.parametrize("ignored", [pytest.param(False, marks=pytest.mark.campaign), True])
def test_training_whose_terminal_is_closed(demo, left_alone, tmp_path, ignored):
    """A hang-up saves and stops; under nohup it does nothing."""
    command = (*TRAININGS["lifter"], "--data_dir", demo, "--checkpoint", "OUT")
    whole = left_alone(*command)
    process = run(tmp_path / "log", *filled(command, tmp_path / "out"), before=hang_up, with_=(ignored,))
    assert process.returncode == (0 if ignored else 130), process.stderr
    assert ("stopped in epoch 2" in process.stdout) is not ignored
    ends_as_the_whole_run(command, whole, tmp_path)


def hang_up(ignored):
    """In a process: a hang-up comes with the third rename, which is of the first epoch's last checkpoint."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)  # whatever the tests themselves were started with
    real, calls = os.replace, []

    def counted(*arguments, **options):
        real(*arguments, **options)
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGHUP)

    os.replace = counted


def when_killed(process, out):
    if process.returncode != -9:
        return "after the end"
    if not list(out.glob("*/*.pth.tar")):
        return "before the first checkpoint"
    return "in the report" if list(out.glob("*/curves.png")) else "between the first checkpoint and the report"


def ends_as_the_whole_run(command, whole, tmp_path):
    """Resume what was killed, or start anew where there is nothing to resume; then everything is as in the whole run."""
    out = tmp_path / "out"
    if not visible(out):  # not even a folder
        assert run(tmp_path / "log", *filled(command, out)).returncode == 0
    folder = only_run(out)
    for path in visible(folder).values():
        assert_readable(path)
    process = run(tmp_path / "log", command[0], "--resume", folder)
    if process.returncode == 2 and "no checkpoint to resume" in process.stderr:
        assert len(process.stderr.splitlines()) == 1
        assert str(folder) in process.stderr
        assert not list(folder.rglob("*.pth.tar"))
        process = run(tmp_path / "log", *filled(command, tmp_path / "anew"))
        folder = only_run(tmp_path / "anew")
    elif process.returncode == 2:
        assert "has done 3 epochs of 3" in process.stderr or "has settled" in process.stderr
    assert process.returncode in (0, 2), process.stderr
    reference = only_run(whole.folder)
    names = set(visible(reference))
    assert set(visible(folder)) == names
    assert not leftovers(folder)
    for name in names:
        if name.endswith(".pth.tar"):
            assert_same_bits(reference / name, folder / name)
        elif name != "config.json":
            assert content(folder / name) == content(reference / name), name


def assert_readable(path):
    if path.name.endswith(".pth.tar"):
        load_checkpoint(path)
    elif path.suffix == ".png":
        Image.open(path).load()
    else:
        content(path)


def content(path):
    """What must be the same in two runs of one command."""
    if path.suffix == ".csv":
        rows = list(csv.DictReader(path.open()))
        assert rows
        return [{name: value for name, value in row.items() if name != "poses_per_s"} for row in rows]
    if path.suffix == ".json":
        return {name: value for name, value in json.loads(path.read_text()).items() if name != "checkpoint"}
    return path.read_bytes()


# --- everything that makes files of files -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sources(demo, left_alone, tmp_path_factory):
    """What there is to evaluate, prepare and render: {kind: its commands}."""
    trained = only_run(left_alone(*TRAININGS["lifter"], "--data_dir", demo, "--checkpoint", "OUT").folder)
    tree = write_tree(tmp_path_factory.mktemp("surreal"), ("train", "test"))
    evaluation = ("evaluate.py", trained, "--data_dir", demo, "--device", "cpu", "--downsample", 4, "--out", "OUT/table")
    clip = ("--data_dir", demo, "--viz_subject", "S11", "--viz_action", "Kick", "--viz_limit", 8, "--viz_size", 1)
    viz = ("viz.py", "--evaluate", trained, "--device", "cpu", *clip, "--viz_output")
    return {
        "evaluation": [evaluation, (*evaluation, "--uncertainty")],
        "preparation": [
            ("data/prepare_data_demo.py", "--takes", 1, "--out", "OUT"),
            ("data/prepare_data_surreal.py", "--from-surreal", tree, "--workers", 2, "--overwrite", "--out", "OUT"),
        ],
        "rendering": [(*viz, "OUT/kick.gif"), (*viz, "OUT/kick.mp4")],
    }


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("kind", "attempt"),
    [(kind, attempt) for kind, usual in (("evaluation", 6), ("preparation", 6), ("rendering", 6)) for attempt in attempts(usual)],
)
def test_files_are_whole_or_as_they_were(sources, left_alone, hits, tmp_path, kind, attempt):
    """Every other attempt finds older files of the same names."""
    command = sources[kind][attempt // 2 % 2]
    log, out = tmp_path / "log", tmp_path / "out"
    whole = left_alone(*command)
    wanted = {name: path.read_bytes() for name, path in visible(whole.folder).items()}
    old = {}
    out.mkdir()
    if attempt % 2:
        old = {name: b"as it was" for name in wanted}
        for name, text in old.items():
            (out / name).write_bytes(text)
    after, _ = instant(kind, attempt, whole.seconds)
    killed = run_and_kill(log, after, *filled(command, out))
    there = {name: path.read_bytes() for name, path in visible(out).items()}
    new = [name for name, text in there.items() if text == wanted[name]]
    assert all(there[name] == old.get(name) for name in there if name not in new)
    if "demo" in command[0]:  # its files belong together
        assert set(there) == set(new) or there == old
    hits(kind, "after the end" if killed.returncode != -9 else "with some files made" if new else "before the first file")
    assert run(log, *filled(command, out)).returncode == 0
    assert {name: path.read_bytes() for name, path in visible(out).items()} == wanted
    assert not leftovers(out)
