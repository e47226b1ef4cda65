"""The figure of `evaluate.py --uncertainty`: curves that can be told apart, by names that hide nothing."""

from common.figures import MOST_RUNS
from common.plotting.uncertainty_figure import _names, plot_uncertainty
from common.training.facts import ORACLE
from common.uncertainty.report import Judged
from common.uncertainty.scores import Scores


def judged(checkpoint, selection="source validation"):
    facts = {"source": "surreal", "target": "h36m", "checkpoint": checkpoint, "selection": selection}
    return Judged(facts, "relative head", "h36m", "gt", "across", "h36m", Scores.__new__(Scores))


def test_more_curves_than_can_be_told_apart_are_not_drawn(tmp_path):
    assert not plot_uncertainty(tmp_path / "many.png", [judged(f"run {number}") for number in range(MOST_RUNS + 1)])
    assert not list(tmp_path.iterdir())


def test_names_say_that_target_labels_chose_the_epoch():
    names = _names([judged("one", ORACLE), judged("two")])
    assert list(names.values()) == ["surreal → h36m, relative head, oracle selection", "surreal → h36m, relative head"]
