"""Which joint of a BVH file is which: `bvh_conventions.json` lists how rigs name the joints, and a file's names are matched.

A joint's role is what it is to a body, whatever it is called: `l_lower_leg` is the left knee.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import DuaError

REQUIRED_ROLES = (
    "hips", "chest", "neck", "head",
    "l_upper_arm", "l_lower_arm", "l_hand", "r_upper_arm", "r_lower_arm", "r_hand",
    "l_upper_leg", "l_lower_leg", "l_foot", "r_upper_leg", "r_lower_leg", "r_foot",
)  # fmt: skip
OPTIONAL_ROLES = ("l_collar", "r_collar", "l_toe", "r_toe")
ROLES = REQUIRED_ROLES + OPTIONAL_ROLES
"""What a convention names a joint for. `chest` is the joint that carries neck and collars; the others stand where their
part begins: `l_lower_leg` is the left knee, `l_foot` the ankle, `l_hand` the wrist."""

Convention = Mapping[str, str]
"""{role: name of the joint}."""


def load_conventions(extra: str | Path | None = None) -> dict[str, Convention]:
    """The conventions that are known, those of the user's file first.

    Args:
        extra: a JSON file in the form of `bvh_conventions.json`: {convention: {role: name of the joint}}; see `ROLES`.

    Raises:
        DuaError: the file is missing or not of that form.
    """
    own = json.loads(Path(__file__).with_name("bvh_conventions.json").read_text())
    if extra is None:
        return own
    form = '{"my_rig": {"hips": "Hips", "l_upper_leg": "LeftThigh", ...}}'
    try:
        conventions = json.loads(Path(extra).read_text(encoding="utf-8"))
    except OSError as error:
        raise DuaError(f"cannot read {extra}: {error.strerror}; a JSON file was expected that looks like {form}") from error
    except ValueError as error:
        raise DuaError(f"{extra} is not JSON ({error}); it should look like {form}") from error
    if not isinstance(conventions, dict) or not conventions:
        raise DuaError(f"{extra}: an object was expected that looks like {form}")
    for name, convention in conventions.items():
        if not isinstance(convention, dict) or not all(isinstance(joint, str) for joint in convention.values()):
            raise DuaError(f"{extra}: {name} should be an object of roles and joint names, as in {form}")
        if unknown := [role for role in convention if role not in ROLES]:
            raise DuaError(f"{extra}: {name} has unknown roles {', '.join(unknown)}; known are {', '.join(ROLES)}")
        if missing := [role for role in REQUIRED_ROLES if role not in convention]:
            raise DuaError(f"{extra}: {name} lacks the roles {', '.join(missing)}")
    return conventions | {name: convention for name, convention in own.items() if name not in conventions}


def match_roles(names: Sequence[str], conventions: Mapping[str, Convention], label: str) -> dict[str, int]:
    """Which joint has which role, by the convention that fits best.

    Args:
        names: of the joints. What stands before a colon ('mixamorig:Hips') or before an underscore in every name
            ('Character1_Hips') does not count, nor does upper or lower case.

    Returns:
        {role: index of the joint}; all of `REQUIRED_ROLES`, and the optional ones that there are.

    Raises:
        DuaError: no convention fits; the message lists the joints and what the nearest convention lacks.
    """
    index = {name: i for i, name in reversed(list(enumerate(_without_prefix(names))))}
    matches = {
        title: {role: index[joint.lower()] for role, joint in convention.items() if joint.lower() in index}
        for title, convention in conventions.items()
    }
    best = max(matches, key=lambda title: (len(_required(matches[title])), len(matches[title])))
    if missing := [role for role in REQUIRED_ROLES if role not in matches[best]]:
        raise DuaError(
            f"{label}: unknown skeleton with the joints {', '.join(names)}; the nearest convention, {best}, lacks "
            f"{', '.join(f'{role} ({conventions[best][role]})' for role in missing)}. "
            "Name the joints in a JSON file that has the form of common/mocap/bvh_conventions.json"
        )
    return matches[best]


def _required(roles: Mapping[str, int]) -> list[str]:
    return [role for role in REQUIRED_ROLES if role in roles]


def _without_prefix(names: Sequence[str]) -> list[str]:
    names = [name.rsplit(":", 1)[-1].lower() for name in names]
    before, separator, _ = names[0].partition("_")
    if separator and all(name.startswith(before + "_") for name in names):
        names = [name.removeprefix(before + "_") for name in names]
    return names
