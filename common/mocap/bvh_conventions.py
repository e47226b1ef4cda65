"""Which joint of a BVH file is which: `bvh_conventions.json` lists how rigs name the joints, and a file's names are matched.

A joint's role is what it is to a body, whatever it is called: `l_lower_leg` is the left knee.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
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


def match_roles(
    names: Sequence[str], conventions: Mapping[str, Convention], label: str, parents: Sequence[int] | None = None
) -> dict[str, int]:
    """Which joint has which role, by the convention that fits best.

    Args:
        names: of the joints. What stands before a colon ('mixamorig:Hips'), or before an underscore in most of the names
            ('Character1_Hips', 'CC_Base_Hip'), does not count, in conventions neither, nor does upper or lower case.
        parents: of the joints, -1 for none. They tell conventions apart that name a spine of another length: the hips are the joint
            that carries both legs, the chest the one that carries the neck and both arms.

    Returns:
        {role: index of the joint}; all of `REQUIRED_ROLES`, and the optional ones that there are.

    Raises:
        DuaError: no convention fits; the message lists the joints and what the nearest convention lacks.
    """
    known = tuple((title, tuple(convention.items())) for title, convention in conventions.items())
    best, found = _best_match(tuple(names), known, None if parents is None else tuple(parents))
    if missing := [role for role in REQUIRED_ROLES if role not in found]:
        raise DuaError(
            f"{label}: unknown skeleton with the joints {', '.join(names)}; the nearest convention, {best}, lacks "
            f"{', '.join(f'{role} ({conventions[best][role]})' for role in missing)}. "
            "Name the joints in a JSON file that has the form of common/mocap/bvh_conventions.json"
        )
    return dict(found)


@lru_cache(maxsize=64)  # the clips of an archive share a rig or two
def _best_match(
    names: tuple[str, ...], conventions: tuple[tuple[str, tuple[tuple[str, str], ...]], ...], parents: tuple[int, ...] | None
) -> tuple[str, Mapping[str, int]]:
    """The convention that fits best, and the roles that it finds: {role: index of the joint}."""
    plain, *others = _spellings(names)
    indices = [_index(spelt, plain) for spelt in (plain, *others)]
    matches = {}
    for title, joints_of in conventions:
        convention = dict(joints_of)
        own = _spellings(list(convention.values()))
        found = [
            {role: joints[name] for role, name in zip(convention, spelt, strict=True) if name in joints}
            for joints in indices
            for spelt in own
        ]
        matches[title] = max(found, key=_fit)
    best = max(matches, key=lambda title: (_fit(matches[title])[0], _in_place(matches[title], parents), len(matches[title])))
    return best, matches[best]


def _fit(roles: Mapping[str, int]) -> tuple[int, int]:
    return sum(role in roles for role in REQUIRED_ROLES), len(roles)


def _in_place(roles: Mapping[str, int], parents: Sequence[int] | None) -> int:
    """How many of hips and chest are the joint that carries what they should."""
    carried = {"hips": ("l_upper_leg", "r_upper_leg"), "chest": ("neck", "l_upper_arm", "r_upper_arm")}
    if parents is None:
        return 0
    return sum(
        role in roles
        and all(part in roles for part in parts)
        and roles[role] == _carrier([roles[part] for part in parts], parents)
        for role, parts in carried.items()
    )


def _carrier(joints: Sequence[int], parents: Sequence[int]) -> int:
    """The joint nearest to all of `joints` that they hang on, -1 if there is none."""
    above = []
    for joint in joints:
        chain: dict[int, None] = {}  # keeps the order, nearest first
        while joint >= 0:
            joint = parents[joint]
            chain[joint] = None
        above.append(chain)
    return next(joint for joint in above[0] if all(joint in chain for chain in above))


def _spellings(names: Sequence[str]) -> list[list[str]]:
    """Ways to read the names, in lower case: as they are, without what stands before a colon, and without each prefix that more
    than half of them share; a name that lacks the prefix stays as it is."""
    plain = [name.lower() for name in names]
    bare = [name.rsplit(":", 1)[-1] for name in plain]
    shared = Counter(prefix for name in bare for prefix in _prefixes(name))
    prefixes = sorted((prefix for prefix, count in shared.items() if count > len(names) / 2), key=len)
    return [plain, bare, *([name.removeprefix(prefix) for name in bare] for prefix in prefixes)]


def _prefixes(name: str) -> list[str]:
    """'cc_' and 'cc_base_' of 'cc_base_hip'; nobody's are longer than three words."""
    words = name.split("_", 3)[:-1]
    return ["".join(f"{word}_" for word in words[: i + 1]) for i in range(len(words))]


def _index(spelt: Sequence[str], plain: Sequence[str]) -> dict[str, int]:
    """{name: index of the joint}. Of two joints of one name the one with a prefix is the body's, else the first."""
    order = sorted(range(len(spelt)), key=lambda i: (spelt[i] == plain[i], i))
    return {spelt[i]: i for i in reversed(order)}
