"""Joints are found by any rig's names, and a user's list of names is checked."""

from pathlib import Path

import pytest

from common.errors import DuaError
from common.mocap.bvh_conventions import OPTIONAL_ROLES, REQUIRED_ROLES, load_conventions, match_roles


@pytest.mark.parametrize("convention", load_conventions().values(), ids=load_conventions())
def test_conventions_name_every_role(convention: dict[str, str]) -> None:
    assert set(REQUIRED_ROLES) <= set(convention) <= {*REQUIRED_ROLES, *OPTIONAL_ROLES}
    assert len(set(convention.values())) == len(convention)


def test_the_nearest_convention_wins() -> None:
    for title, convention in load_conventions().items():
        joints = ["Spine", "LowerBack", *convention.values(), "LeftHandIndex1"]
        roles = match_roles(joints, load_conventions(), "clip.bvh")
        assert {role: joints[i] for role, i in roles.items()} == convention, title


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "an object was expected"),
        ("{}", "an object was expected"),
        ('{"mine": "Hips"}', "mine should be an object"),
        ('{"mine": {"hips": 1}}', "mine should be an object"),
        ('{"mine": {"hip": "Hips"}}', "unknown roles hip"),
        ('{"mine": {"hips": "Hips"}}', "lacks the roles chest, neck"),
    ],
)
def test_a_wrong_file_of_conventions_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rigs.json"
    path.write_text(content)
    with pytest.raises(DuaError, match=f"rigs.json.*{message}"):
        load_conventions(path)


def test_a_missing_file_of_conventions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DuaError, match=r"cannot read .*none\.json"):
        load_conventions(tmp_path / "none.json")
