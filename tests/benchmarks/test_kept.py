"""`runs.csv` of the open benchmark: what finished runs came to, kept without their folders."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.kept import TASK, Kept, KeptResults
from common.errors import DuaError

TO_H36M = ("surreal -> h36m", "martinez", "oracle, target labels in the loss", 3)
TO_SURREAL = ("h36m -> surreal", "semgcn", "+ converter", 0)


def result(error, raw=None):
    average = {"mpjpe": error, "p_mpjpe": error / 2, "pck": 80.0}
    also = {} if raw is None else {"surreal, raw labels": {"average": average | {"mpjpe": raw}}}
    return {"average": average, "also": also, "per_action": {}}


def test_errors_come_back_as_a_script_reports_them(tmp_path):
    kept = KeptResults(tmp_path)
    assert kept.all() == {}
    kept.add(TO_H36M, result(81.23456))
    kept.add(TO_SURREAL, result(70.0, raw=90.0))
    found = KeptResults(tmp_path).all()
    assert found[TO_H36M] == {"average": {"mpjpe": 81.2346, "p_mpjpe": 40.6173}, "also": {}}
    assert found[TO_SURREAL]["average"]["mpjpe"] == 70.0
    assert found[TO_SURREAL]["also"]["surreal, raw labels"]["average"]["mpjpe"] == 90.0
    kept.add(TO_H36M, result(80.0))  # in its place
    assert KeptResults(tmp_path).all()[TO_H36M]["average"]["mpjpe"] == 80.0


def test_many_add_at_the_same_time_and_nothing_is_lost(tmp_path):
    def add(seed):
        Kept(tmp_path / "scores.csv", TASK, ("bones",)).add({("a", "b", "c", str(seed)): {"bones": seed}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    found = Kept(tmp_path / "scores.csv", TASK, ("bones",)).read()
    assert {key[-1]: of["bones"] for key, of in found.items()} == {str(seed): seed for seed in range(40)}


def test_a_damaged_file_is_refused_and_stays(tmp_path):
    for text in ("direction,network\na,b\n", "direction,network,row,seed,labels,MPJPE,P-MPJPE\na,b,c,0,raw,long,1\n"):
        (tmp_path / "runs.csv").write_text(text)
        with pytest.raises(DuaError, match=r"runs.csv is damaged"):
            KeptResults(tmp_path).add(TO_H36M, result(1.0))
        assert (tmp_path / "runs.csv").read_text() == text
