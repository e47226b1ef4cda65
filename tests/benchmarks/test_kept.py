"""`runs.csv` of the open benchmark: what finished runs came to, kept without their folders."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.kept import COVERAGE, SCORES, TASK, KeptResults, KeptTable, beside_others, kept_coverage, kept_scores
from benchmarks.rows import BOUND, BOUND_FLIPPED
from common.errors import DuaError

TO_H36M = ("surreal -> h36m", "martinez", "oracle, target labels in the loss", 3)
TO_SURREAL = ("h36m -> surreal", "semgcn", "+ converter", 0)


def result(error, raw=None, detector=None):
    average = {"mpjpe": error, "p_mpjpe": error / 2, "pck": 80.0} | ({} if detector is None else {"detector": detector})
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
    kept.add(TO_H36M, result(80.0, detector=95.04))  # in its place
    assert KeptResults(tmp_path).all()[TO_H36M] == {"average": {"mpjpe": 80.0, "p_mpjpe": 40.0, "detector": 95.04}, "also": {}}
    assert "detector" not in KeptResults(tmp_path).all()[TO_SURREAL]["average"]


def test_a_run_made_anew_loses_its_scores_and_its_coverage(tmp_path):
    key = tuple(map(str, TO_H36M))
    kept_coverage(tmp_path).add(
        {(*key[:3], seed, method): dict.fromkeys(COVERAGE, 90.0) for seed in "34" for method in ("mirror", "nll head")}
    )
    kept_scores(tmp_path).add({key: dict.fromkeys(SCORES, 1.0), (*key[:3], "4"): {"bones": 2.0}})
    KeptResults(tmp_path).add(TO_H36M, result(80.0))
    assert kept_scores(tmp_path).read() == {(*key[:3], "4"): {"bones": 2.0}}
    assert {task[3] for task in kept_coverage(tmp_path).read()} == {"4"}
    kept_scores(tmp_path).add({key: {"bones": 1.0}})
    bound = (*TO_H36M[:2], BOUND, 3)
    flipped = (*TO_H36M[:2], BOUND_FLIPPED, 3)
    for task in (bound, flipped, (*flipped[:3], 4)):
        KeptResults(tmp_path).add(task, result(50.0))
    KeptResults(tmp_path).add(bound, result(50.0, detector=60.0))
    assert flipped in KeptResults(tmp_path).all()
    KeptResults(tmp_path).add(bound, result(49.0))  # another network: what the one before came to with the flip is nobody's
    assert {flipped, (*flipped[:3], 4)} & set(KeptResults(tmp_path).all()) == {(*flipped[:3], 4)}
    KeptResults(tmp_path).add(TO_H36M, result(80.0, detector=95.0))  # the same run, tested once more
    assert key in kept_scores(tmp_path).read()


@pytest.mark.parametrize("locks", [True, False])
def test_many_add_at_the_same_time_and_nothing_is_lost(tmp_path, monkeypatch, locks):
    if not locks:
        monkeypatch.setattr("benchmarks.kept.try_lock", lambda _: None)

    def add(seed):
        KeptTable(tmp_path / "table.csv", TASK, ("bones",)).add({("a", "b", "c", str(seed)): {"bones": seed}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    found = KeptTable(tmp_path / "table.csv", TASK, ("bones",)).read()
    assert {key[-1]: of["bones"] for key, of in found.items()} == {str(seed): seed for seed in range(40)}


WHOLE = """direction,network,row,seed,labels,MPJPE,P-MPJPE,"MPJPE, detector"
h36m -> surreal,martinez,DUA,0,converted,80.5,60.5,99.5
h36m -> surreal,martinez,DUA,0,raw,90.5,70.5,
"""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "direction,network\na,b\n",
        WHOLE.replace("80.5", "long"),
        WHOLE.replace("80.5", "nan"),
        WHOLE[:-7],
        WHOLE[:-6] + "\n",
        WHOLE.replace("90.5,70.5,", "90.5,,"),
        WHOLE.replace("90.5,70.5,", ",70.5,"),
        WHOLE.replace("labels,", "labels,note,"),
        WHOLE.replace('detector"\n', 'detector"\n<<<<<<< ours\n'),
        WHOLE + WHOLE.splitlines()[-1] + "\n",
        WHOLE.replace("DUA,0,raw", "DUA,1,raw"),
        WHOLE.replace(",0,", ",first,"),
        WHOLE.replace("raw", "rough"),
    ],
)
def test_a_damaged_file_is_refused_and_stays(tmp_path, text):
    path = tmp_path / "runs.csv"
    path.write_text(WHOLE)
    assert KeptResults(tmp_path).all()["h36m -> surreal", "martinez", "DUA", 0]["average"]["mpjpe"] == 80.5
    older = WHOLE.replace(',"MPJPE, detector"', "").replace("60.5,99.5", "60.5").replace("70.5,", "70.5")
    path.write_text(older)  # before there was a detector's column
    assert "detector" not in KeptResults(tmp_path).all()["h36m -> surreal", "martinez", "DUA", 0]["average"]
    path.write_text(text)
    with pytest.raises(DuaError, match=r"runs.csv is damaged"):
        KeptResults(tmp_path).all()
    assert path.read_text() == text


def test_a_part_of_a_table_that_is_made_anew_leaves_the_others(tmp_path):
    path, columns = tmp_path / "errors.csv", ("network", "people", "MPJPE")
    martinez, semgcn = ("martinez", "others", "80.0"), ("semgcn", "others", "82.0")
    assert beside_others(path, columns, [martinez]) == [martinez]
    path.write_text("network,people,MPJPE\nmartinez,others,85.0\nmartinez,held,70.0\nsemgcn,others,82.0\n")
    assert beside_others(path, columns, [martinez]) == [[*semgcn], martinez]
    assert beside_others(path, columns, [martinez], keys=2) == [["martinez", "held", "70.0"], [*semgcn], martinez]
    path.write_text("network,MPJPE\nsemgcn,82.0\n")  # of before there were people
    assert beside_others(path, columns, [martinez]) == [martinez]
