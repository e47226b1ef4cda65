"""`benchmarks/speed.py --busy`: what it measures beside other processes."""

import os

import pytest

from benchmarks import speed_busy


def test_the_table_holds_medians_and_shares_of_the_idle_machine(monkeypatch):
    asked = []

    def measured(network, batch_size, seconds, settings):
        asked.append(settings)
        return 100.0 + len(asked) % 3

    monkeypatch.setattr(speed_busy, "measured", measured)
    rows = speed_busy.table("martinez", 64, rounds=3, seconds=0.0, loads=[0, 1])
    assert len(asked) == 3 * 2 * len(speed_busy.WAYS)
    assert asked[: len(speed_busy.WAYS)] == list(speed_busy.WAYS.values()), "ways take turns"
    assert [row[0] for row in rows] == list(speed_busy.WAYS)
    assert rows[0][2] == "1.00"
    assert len(speed_busy.columns([0, 1])) == len(rows[0]) == 5


def test_competitors_work_and_end(monkeypatch):
    started = []
    popen = speed_busy.subprocess.Popen
    monkeypatch.setattr(speed_busy.subprocess, "Popen", lambda *words: started.append(popen(*words)) or started[-1])
    with speed_busy.competing(2):
        assert [process.poll() for process in started] == [None, None]
    assert all(process.returncode is not None for process in started)


@pytest.mark.campaign
def test_one_measurement(monkeypatch):
    monkeypatch.setitem(os.environ, "GOMP_SPINCOUNT", "5")  # which is not this way's
    assert speed_busy.measured("martinez", 16, 0.0, {"OMP_NUM_THREADS": "1"}) > 0
