"""What results are called by: two runs that differ in what was learnt are not called alike."""

import pytest

from common.training.facts import describe


def described(roles=(), network="martinez", **arguments):
    checkpoint = {
        "experiment": "surreal_dua", "source": "surreal", "target": "h36m", "skeleton": {"definition": "h36m"}, "keypoints": "gt",
        "selection": "source validation", "training": {"epoch": 3}, "networks": {"lifter": {"name": network}} | {role: {} for role in roles},
        "arguments": {"seed": 0} | arguments,
    }  # fmt: skip
    return describe(checkpoint)["modules"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"non_local": True}, ["non_local"]),
        ({"domain_bn": True}, ["domain_bn"]),
        ({"domain_of": "poses", "grl": "warm", "smpl_shoulders": "shoulder", "non_local": False, "domain_bn": False}, []),
        ({"smpl_shoulders": "collar"}, ["collars"]),
        ({"align": ["gpa"], "scale": "box", "tta": True}, ["gpa", "boxes of one size", "tta"]),
    ],
)
def test_options_that_make_another_network_or_loss_are_named(arguments, named):
    assert described(**arguments) == named


@pytest.mark.parametrize(
    ("arguments", "named"), [({"domain_of": "features"}, "domain of features"), ({"grl": "constant"}, "gradient not warmed up")]
)
def test_options_of_the_adversary_are_named_where_there_is_one(arguments, named):
    assert described(("domain",), domain_weight=0.001, **arguments) == ["domain", named]
    assert described(**arguments) == []


def test_what_is_kept_for_predict_alone_is_no_module():
    assert described(("uncertainty", "to_detector", "view_pool", "teacher"), domain_weight=0.001) == ["uncertainty"]
