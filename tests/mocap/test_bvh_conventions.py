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


RIGS = {
    # As the files have them, children after their parents; a number says how many joints to go up before going on.
    "poser": "hip abdomen chest neck head 2 rCollar rShldr rForeArm rHand rThumb1 5 lCollar lShldr lForeArm lHand 6 "
    "rButtock rThigh rShin rFoot 4 lButtock lThigh lShin lFoot",
    "biovision_chest2": "Hips LHipJoint LeftHip LeftKnee LeftAnkle LeftToe 5 RHipJoint RightHip RightKnee RightAnkle RightToe 5 "
    "lowerback Chest Chest2 lowerneck Neck Head 3 LeftCollar LeftShoulder LeftElbow LeftWrist lhand LFingers 6 "
    "RightCollar RightShoulder RightElbow RightWrist rhand",
    "biovision_chest": "Hips Chest Neck Head 2 LeftCollar LeftShoulder LeftElbow LeftWrist 4 RightCollar RightShoulder RightElbow "
    "RightWrist 5 LeftHip LeftKnee LeftAnkle 3 RightHip RightKnee RightAnkle",
    "100style": "Hips Chest Chest2 Chest3 Chest4 Neck Head 2 LeftCollar LeftShoulder LeftElbow LeftWrist 4 RightCollar RightShoulder "
    "RightElbow RightWrist 8 LeftHip LeftKnee LeftAnkle LeftToe 4 RightHip RightKnee RightAnkle RightToe",
    "asf": "root lhipjoint lfemur ltibia lfoot ltoes 5 rhipjoint rfemur rtibia rfoot rtoes 5 lowerback upperback thorax lowerneck "
    "upperneck head 3 lclavicle lhumerus lradius lwrist lhand lfingers 2 lthumb 5 rclavicle rhumerus rradius rwrist rhand",
    "asf_hand": "root lhipjoint lfemur ltibia lfoot 4 rhipjoint rfemur rtibia rfoot 4 lowerback upperback thorax lowerneck "
    "upperneck head 3 lclavicle lhumerus lradius lhand 4 rclavicle rhumerus rradius rhand",
    "iclone": "RL_BoneRoot CC_Base_Hip CC_Base_Waist CC_Base_Spine01 CC_Base_Spine02 CC_Base_NeckTwist01 CC_Base_NeckTwist02 "
    "CC_Base_Head 3 CC_Base_L_Clavicle CC_Base_L_Upperarm CC_Base_L_Forearm CC_Base_L_Hand 4 CC_Base_R_Clavicle CC_Base_R_Upperarm "
    "CC_Base_R_Forearm CC_Base_R_Hand 7 CC_Base_Pelvis CC_Base_L_Thigh CC_Base_L_Calf CC_Base_L_Foot CC_Base_L_ToeBase 4 "
    "CC_Base_R_Thigh CC_Base_R_Calf CC_Base_R_Foot CC_Base_R_ToeBase",
    "iclone_hip": "CC_Base_Hip CC_Base_Waist CC_Base_Spine01 CC_Base_Spine02 CC_Base_NeckTwist01 CC_Base_Head 2 "
    "CC_Base_L_Clavicle CC_Base_L_Upperarm CC_Base_L_Forearm CC_Base_L_Hand 4 CC_Base_R_Clavicle CC_Base_R_Upperarm "
    "CC_Base_R_Forearm CC_Base_R_Hand 7 CC_Base_L_Thigh CC_Base_L_Calf CC_Base_L_Foot 3 CC_Base_R_Thigh CC_Base_R_Calf CC_Base_R_Foot",
    "humanik_spine1": "Hips Spine Spine1 Neck Head 2 LeftShoulder LeftArm LeftForeArm LeftHand LeftHandThumb1 5 RightShoulder RightArm "
    "RightForeArm RightHand 6 LeftUpLeg LeftLeg LeftFoot LeftToeBase 4 RightUpLeg RightLeg RightFoot RightToeBase",
    "humanik_spine": "Hips Spine Neck Head 2 LeftShoulder LeftArm LeftForeArm LeftHand 4 RightShoulder RightArm RightForeArm RightHand 5 "
    "LeftUpLeg LeftLeg LeftFoot LeftToeBase 4 RightUpLeg RightLeg RightFoot RightToeBase",
    "humanik_spine3": "Hips Spine Spine1 Spine2 Spine3 Neck Head 2 LeftShoulder LeftArm LeftForeArm LeftHand 4 RightShoulder RightArm "
    "RightForeArm RightHand 8 LeftUpLeg LeftLeg LeftFoot LeftToeBase 4 RightUpLeg RightLeg RightFoot RightToeBase",
    "mixamo": "Hips Spine Spine1 Spine2 Neck Neck1 Head 3 LeftShoulder LeftArm LeftForeArm LeftHand 4 RightShoulder RightArm "
    "RightForeArm RightHand 7 LeftUpLeg LeftLeg LeftFoot LeftToeBase 4 RightUpLeg RightLeg RightFoot RightToeBase",
}  # fmt: skip


def hierarchy(rig: str) -> tuple[list[str], list[int]]:
    """(names, parents) of one of `RIGS`."""
    names: list[str] = []
    parents: list[int] = []
    at = -1
    for word in rig.split():
        if word.isdigit():
            for _ in range(int(word)):
                at = parents[at]
        else:
            names.append(word)
            parents.append(at)
            at = len(names) - 1
    return names, parents


@pytest.mark.parametrize("title", RIGS)
def test_whole_rigs_are_known(title: str) -> None:
    names, parents = hierarchy(RIGS[title])
    roles = match_roles(names, load_conventions(), "clip.bvh", parents)
    assert {role: names[i] for role, i in roles.items()} == {
        role: joint for role, joint in load_conventions()[title].items() if joint in names
    }


MINE = {role: f"CC_Base_{role}" for role in REQUIRED_ROLES}


@pytest.mark.parametrize(
    "names",
    [
        list(MINE.values()),
        ["RL_BoneRoot", *MINE.values(), "Prop", "Camera_1"],  # a few joints do not have the prefix
        [name.upper() for name in MINE.values()],
        [f"figure:{name}" for name in MINE.values()],
        [f"Figure1_{name}" for name in MINE.values()],
        list(MINE),  # in the convention alone
        [name.removeprefix("CC_") for name in MINE.values()],
    ],
    ids=["both", "a few without", "upper case", "namespace", "two prefixes", "in the convention alone", "a shorter one"],
)
@pytest.mark.parametrize("namespace", ["", "rig:"])
def test_a_prefix_counts_neither_in_the_file_nor_in_the_convention(names: list[str], namespace: str) -> None:
    conventions = {"mine": {role: namespace + joint for role, joint in MINE.items()}, **load_conventions()}
    roles = match_roles(names, conventions, "clip.bvh")
    assert {role: names[i].lower().rpartition("base_")[2] for role, i in roles.items()} == {role: role for role in MINE}


def test_a_few_joints_without_a_prefix_do_not_hide_the_body() -> None:
    rig = [f"Character1_{name}" for name in load_conventions()["mixamo"].values()]
    names = ["Reference", "Hips", *rig, "Camera"]  # another thing that is called as the body's joint
    roles = match_roles(names, load_conventions(), "clip.bvh")
    assert {role: names[i] for role, i in roles.items()} == dict(zip(load_conventions()["mixamo"], rig, strict=True))


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
