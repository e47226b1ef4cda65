"""What reaches the user when a script ends badly."""

import os
import subprocess
import sys

import pytest

from common.errors import names_like
from tests.conftest import ROOT

SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from common.start import run_script
from common.errors import DuaError
def main():
    {body}
run_script(main)
"""


def ran(body, **options):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | options.pop("env", {})
    words = [sys.executable, "-c", SCRIPT.format(root=str(ROOT), body=body)]
    return subprocess.run(words, text=True, stderr=subprocess.PIPE, env=environment, **options)


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        ("raise DuaError('file.npz is\\nbad')", 2, "error: file.npz is bad"),
        ("raise DuaError('a\\x1b[31m.npz\\u2028')", 2, "error: a\\x1b[31m.npz "),
        ("raise KeyboardInterrupt", 130, "interrupted"),
        ("open('/tmp/' + 'x' * 300)", 2, "File name too long"),
        ("open('/')", 2, "error: /: Is a directory"),
    ],
)
def test_one_line_and_a_code(body, code, line):
    process = ran(body, stdout=subprocess.PIPE)
    assert process.returncode == code
    assert line in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_said_once():
    with open("/dev/full", "w") as full:
        process = ran("print('a table')", stdout=full)
    assert process.returncode == 2
    assert "No space left on device" in process.stderr
    assert len(process.stderr.strip().splitlines()) == 1


def test_a_reader_that_has_left_is_nothing_to_complain_of():
    reading, writing = os.pipe()
    os.close(reading)
    process = ran("print('a table')", stdout=writing)
    os.close(writing)
    assert process.returncode == 141
    assert process.stderr == ""


def test_names_that_a_terminal_cannot_show_are_escaped():
    process = ran("print('b\\u00fccher.npz')", stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert process.returncode == 0, process.stderr
    assert process.stdout == "b\\xfccher.npz\n"


def test_of_many_names_those_that_are_like_the_wanted_one_are_told():
    assert names_like("Wlak", ["Walk", "Run"]) == "Walk, Run"
    words = [f"{action} {take}" for action in ("Eating", "Greeting", "Posing") for take in range(4)]
    many = [f"S{subject}/{word}/{camera}" for subject in (1, 5, 6, 7, 8, 9, 11) for word in words for camera in range(4)]
    *told, count = names_like("s9/greting 2", many).split(", ")
    assert len(told) == 12
    assert all(name.startswith("S9/Greeting") for name in told)
    assert told[0].startswith("S9/Greeting 2")
    assert count == "... (336 in all)"
    assert set(names_like("Posing 3/2", many).split(", ")[:7]) == {f"S{subject}/Posing 3/2" for subject in (1, 5, 6, 7, 8, 9, 11)}
    assert names_like(None, many).startswith("S1/Eating 0/0, S1/Eating 0/1, ")
