"""Which sequences Human3.6M has: what is missing is told from what is too many, and both by name."""

import pytest

from common.errors import DuaError
from common.preparation.h36m_names import ACTIONS, SUBJECTS, split_camera, take_clips


def complete():
    """{(subject, action): file} of all that is to be read."""
    takes = [f"{action}{take}" for action in ACTIONS for take in ("", " 1")]
    files = {(subject, take): f"{subject}/{take}.h5" for subject in SUBJECTS for take in takes}
    del files["S11", "Directions"]  # corrupt
    return files


def refused(files):
    with pytest.raises(DuaError) as caught:
        take_clips(files, "human36m", "*.h5", allow_partial=False)
    return str(caught.value)


def test_all_sequences_are_complete(capsys):
    assert take_clips(complete(), "human36m", "*.h5", False) == complete()
    numbered = complete() | {("S7", "Phoning 2"): "", ("S7", "Phoning 3"): ""}  # takes are not numbered alike
    del numbered["S7", "Phoning"], numbered["S7", "Phoning 1"]
    assert take_clips(numbered, "human36m", "*.h5", False) == numbered
    assert capsys.readouterr() == ("", "")


def test_what_is_no_sequence_is_too_many(capsys):
    files = complete() | {("S5", "_ALL"): "S5/_ALL.h5"}
    message = refused(files)
    assert "human36m: S5/*.h5 are 31 sequences, 30 were expected" in message
    assert "S5/_ALL.h5" in message
    assert "complete S5" not in message
    assert take_clips(files, "human36m", "*.h5", allow_partial=True) == complete()
    assert "left out" in (said := capsys.readouterr().err)
    assert "S5/_ALL.h5" in said


def test_a_stranger_in_the_place_of_a_sequence_does_not_make_it_complete():
    files = complete() | {("S5", "_ALL"): "S5/_ALL.h5"}
    del files["S5", "Eating"]
    assert "S5/_ALL.h5" in refused(files)


def test_a_third_take_is_too_many():
    message = refused(complete() | {("S9", "Eating 2"): "S9/Eating 2.h5"})
    assert "31 sequences, 30 were expected" in message
    assert "too many are among S9/Eating.h5, S9/Eating 1.h5, S9/Eating 2.h5: " in message
    # Of S11's Directions one take is all that there is.
    message = refused(complete() | {("S11", "Directions 2"): "S11/Directions 2.h5"})
    assert "30 sequences, 29 were expected ('Directions', which is corrupt, left out)" in message
    assert "too many are among S11/Directions 1.h5, S11/Directions 2.h5: " in message


def test_too_few_are_named():
    files = complete()
    for action in ("Photo", "Walking", "Walking 1"):
        del files["S6", action]
    message = refused(files)
    assert "27 sequences, 30 were expected; there are of Photo 1 of 2, Walking 0 of 2: complete S6" in message
    assert take_clips(files, "human36m", "*.h5", allow_partial=True) == files


def test_nothing_but_strangers_is_none():
    with pytest.raises(DuaError, match="holds no"):
        take_clips({("S1", "_ALL"): ""}, "human36m", "*.h5", allow_partial=True)


@pytest.mark.parametrize(
    ("stem", "action", "camera"),
    [
        ("Directions 1", "Directions 1", ""),
        ("TakingPhoto_1.60457274", "Photo 1", "60457274"),
        ("Directions.54138969", "Directions", "54138969"),
        ("Directions.12345678", "Directions.12345678", ""),
        ("54138969", "54138969", ""),
    ],
)
def test_a_name_may_name_a_camera(stem, action, camera):
    assert split_camera(stem) == (action, camera)
