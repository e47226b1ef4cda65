"""BVH text of any layout is read, joints move as it says, and broken text is refused with its line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DuaError
from common.mocap.bvh_parser import move_skeleton, parse_bvh
from tests.helpers.bvh_text import SMALL


def test_a_small_file_is_read() -> None:
    file = parse_bvh(SMALL, "small.bvh")
    assert [(joint.name, joint.parent) for joint in file.joints] == [("Hips", -1), ("Head", 0)]
    assert file.joints[1].channels == ("Zrotation", "Xrotation", "Yrotation")
    assert file.joints[1].end_site is not None
    assert file.frames.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9]] * 2
    assert file.frame_time == 0.1


@pytest.mark.parametrize(
    "text",
    [
        SMALL.replace("\n{", " {").replace("\n    {", " {"),
        SMALL.replace("\n", "\n\n"),
        SMALL.replace("\n", "\r"),
        SMALL.replace(" ", "\t").replace("End\tSite", "End Site").replace("Frame\tTime", "Frame Time"),
        SMALL.replace("rotation", "ROTATION").replace("MOTION", "Motion"),
        SMALL.replace("Frames: 2", "Frames:2"),
        SMALL.removesuffix("\n"),
        SMALL + "\n \n",
    ],
)
def test_layouts_that_differ(text: str) -> None:
    file = parse_bvh(text, "small.bvh")
    assert [joint.name for joint in file.joints] == ["Hips", "Head"]
    assert file.frames.shape == (2, 9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Frames: 2", "Frames: 3", r"line 20: 2 frames have come by the end of the file, line 17 says 3"),
        ("Frames: 2", "Frames: 1", r"line 17: 1 frames; at least 2 are needed"),
        ("Frames: 2", "Frames: 0", r"line 17: 0 frames; at least 2 are needed"),
        ("Frames: 2", "Frames: -2", r"line 17: -2 frames"),
        ("Frames: 2", f"Frames: {'9' * 5000}", r"line 17: 9+ frames"),
        ("Frames: 2", "Frames:", r"line 17: 'Frames: NUMBER' was expected"),
        ("Frames: 2\n", "", r"line 17: 'Frames: NUMBER' was expected"),
        ("Frame Time: 0.1", "Frame Time: 0", r"line 18: frame time 0; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: -0.1", r"line 18: frame time -0.1; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: nan", r"line 18: frame time nan; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: inf", r"line 18: frame time inf; seconds above 0"),
        ("Frame Time: 0.1", "Frame Time: fast", r"line 18: frame time fast; seconds above 0"),
        ("Frame Time: 0.1\n", "", r"line 18: 'Frame Time: SECONDS' was expected"),
        ("7 8 9\n", "7 8\n", r"line 19: 8 numbers, the hierarchy has 9 channels"),
        ("7 8 9\n", "7 8 9 10\n", r"line 19: 10 numbers, the hierarchy has 9 channels"),
        ("7 8 9\n", "7 nan 9\n", r"line 19: 'nan' is no place and no angle"),
        ("7 8 9\n", "7 -inf 9\n", r"line 19: '-inf' is no place and no angle"),
        ("7 8 9\n", "7 1e300 9\n", r"line 19: '1e300' is no place and no angle"),
        ("7 8 9\n", "7 8,5 9\n", r"line 19: '8,5' is no place and no angle"),
        ("CHANNELS 3 Z", "CHANNELS 3 W", r"line 9: unknown channel 'Wrotation'; known are Xposition"),
        ("CHANNELS 3", "CHANNELS 4", r"line 10: unknown channel 'End'"),
        ("CHANNELS 3", "CHANNELS 2", r"line 9: JOINT, End Site or '}' was expected, found 'Yrotation'"),
        ("CHANNELS 3", "CHANNELS 99", r"line 9: CHANNELS '99'"),
        ("CHANNELS 3 Zrotation X", "CHANNELS 3 Xrotation X", r"line 9: channel Xrotation is listed twice"),
        ("OFFSET 0 1 0\n    C", "OFFSET 0 one 0\n    C", r"line 8: 3 numbers were expected, found '0 one 0'"),
        ("OFFSET 0 1 0\n    C", "OFFSET 0 nan 0\n    C", r"line 8: '0 nan 0' is no place"),
        ("OFFSET 0 1 0\n    C", "OFFSET 0 1\n    C", r"line 9: 3 numbers were expected"),
        ("    OFFSET 0 1 0\n    C", "    C", r"line 8: 'OFFSET' was expected, found 'CHANNELS'"),
        ("JOINT Head\n  {", "JOINT Head", r"line 12: 'CHANNELS' was expected"),
        ("}\nMOTION", "MOTION", r"line 15: JOINT, End Site or '}' was expected, found 'MOTION'"),
        ("}\nMOTION", "}\nROOT Other\nMOTION", r"line 16: MOTION was expected, found 'ROOT': a file with several roots"),
        ("}\nMOTION", "}\n}\nMOTION", r"line 16: MOTION was expected, found '}'"),
        ("HIERARCHY", "HIERARCHIE", r"line 1: 'HIERARCHY' was expected"),
        ("ROOT", "JOINT", r"line 2: 'ROOT' was expected"),
        ("MOTION", "", r"there is no line MOTION"),
        (SMALL, "", r"there is no line MOTION"),
        (SMALL, "MOTION", r"line 1: 'HIERARCHY' was expected, found 'MOTION'"),
        (SMALL, SMALL[: SMALL.index("Frames")], r"line 16: 'Frames: NUMBER' was expected"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(DuaError, match=f"^small.bvh(, |: ){message}") as caught:
        parse_bvh(SMALL.replace(old, new, 1), "small.bvh")
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_refused_and_never_a_surprise(data: st.DataObject) -> None:
    """Cut, delete and replace in a small file: it is read, or refused with a `DuaError`; it never hangs or crashes."""
    text = SMALL
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        end = data.draw(st.one_of(st.just(len(text)), st.integers(at, min(len(text), at + 20))))
        text = (
            text[:at]
            + data.draw(st.sampled_from(["", "\n", "}", "{", "1e400", "JOINT ", "CHANNELS 0\n", "\x00", "\ufffd"]))
            + text[end:]
        )
    try:
        file = parse_bvh(text, "small.bvh")
    except DuaError:
        return
    assert np.isfinite(file.frames).all()
    assert file.frames.shape[1] == sum(len(joint.channels) for joint in file.joints)


def test_a_deep_hierarchy_is_no_trouble() -> None:
    joint = "JOINT J{i}\n{{\nOFFSET 0 0 0\nCHANNELS 0\n"
    chain = "".join(joint.format(i=i) for i in range(5000)) + "}\n" * 5000
    file = parse_bvh(SMALL.replace("  JOINT Head", chain + "  JOINT Head"), "deep.bvh")
    assert len(file.joints) == 5002


# --- Forward kinematics -----------------------------------------------------------------------------------------------
def test_angles_turn_about_the_turned_axes() -> None:
    """Zrotation before Xrotation: x turns first, seen from outside. Worked out by hand."""
    file = parse_bvh(SMALL.replace("1 2 3 4 5 6", "1 2 3 90 90 0"), "small.bvh")
    skeleton = move_skeleton(file, {"hips": 0, "head": 1, "l_foot": 0, "r_foot": 0})
    np.testing.assert_allclose(skeleton.places["head"][0], [0, 1, 0])  # the rest pose
    np.testing.assert_allclose(skeleton.places["head"][1], [1, 2, 4], atol=1e-12)


def test_positions_stand_in_for_offsets_unless_they_are_all_zero() -> None:
    small = SMALL.replace("CHANNELS 3", "CHANNELS 6 Xposition Yposition Zposition").replace("4 5 6 7 8 9", "0 0 0 {} 0 0 0")
    roles = {"hips": 0, "head": 1, "l_foot": 0, "r_foot": 0}
    for position, expected in (("0 0 0", [1, 3, 3]), ("0 2 0", [1, 4, 3]), ("5 0 0", [6, 2, 3])):
        skeleton = move_skeleton(parse_bvh(small.replace("{}", position), "small.bvh"), roles)
        np.testing.assert_allclose(skeleton.places["head"][1:], [expected] * 2)
