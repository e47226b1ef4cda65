"""Poses that nobody of the source struck.

`--new_poses` makes them of those that somebody did.

Motion capture of a few kinds of motion holds few poses: who only walks and waves never squats. In every batch, some poses get the arms or the
legs of others, held to the trunk as these hold them and as long as their own (the crossover of Li et al., "Cascaded Deep Monocular 3D
Human Pose Estimation with Evolutionary Training Data", CVPR 2020). Bones keep their lengths; hips and shoulders go with their limbs, so that
both hips need not lie on one line with the root any more.

`--target_poses` takes them, whole, from those that the network predicts of the target (`common.adaptation.target_views`): people move otherwise
there. A prediction may be wrong, and then such poses are seen too often; a pose and where it is seen are right together all the same.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from common.geometry.bones import bones_of, joints_of
from common.geometry.skeleton import JOINT_NAMES, NUM_JOINTS, ROOT
from common.geometry.torso import has_trunk, torso_frames

# Chosen on build seed 0 of the open benchmark, whose test labels no result is reported on (docs/adaptation.md).
_EXCHANGED = 0.5
"""Share of the poses that get another's left arm; right arm; left leg; right leg."""
_LIMBS = tuple(
    [JOINT_NAMES.index(name) for name in names]
    for names in (
        ("LShoulder", "LElbow", "LWrist"),
        ("RShoulder", "RElbow", "RWrist"),
        ("LHip", "LKnee", "LFoot"),
        ("RHip", "RKnee", "RFoot"),
    )
)
"""What is exchanged as one, by the joints that its bones end in."""
_ALL = list(range(NUM_JOINTS))


def new_poses(poses_3d: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 16, 3) poses of the same bodies, some of whose limbs are directed, seen from the trunk, as another's of them; `generator` is on
    the CPU.

    A pose of whose trunk nobody can say how it is turned (`common.geometry.torso`) gives no limb and gets none; one whose bone has no length
    does not give that limb.
    """
    count, device = len(poses_3d), poses_3d.device
    trunks = torso_frames(poses_3d)
    turned = has_trunk(trunks)
    bones = bones_of(poses_3d)
    lengths = torch.linalg.vector_norm(bones, dim=-1, keepdim=True)
    for limb in _LIMBS:
        giver = torch.randperm(count, generator=generator).to(device)
        gives = turned[giver] & (lengths[giver][:, limb] > 0).flatten(1).all(1)
        chosen = (torch.rand(count, generator=generator) < _EXCHANGED).to(device) & turned & gives
        to_ours = trunks @ trunks[giver].transpose(1, 2)
        given = torch.einsum("nij,nkj->nki", to_ours, bones[giver][:, limb])
        _direct(bones, lengths, given, limb, chosen)
    return joints_of(poses_3d[:, ROOT], bones)


def struck(poses_3d: Tensor, given: Tensor, chosen: Tensor) -> Tensor:
    """(N, 16, 3) poses of the same bodies, of which those that are `chosen` (N,) strike given poses, with their trunks turned as before, to a
    degree or two: bones of other lengths make other trunks.

    A pose of whose trunk nobody can say how it is turned strikes none; one with a bone of no length is not struck.

    Args:
        given: (N, 16, 3) bones (`common.geometry.bones`) in the axes of their trunk, of any length.
    """
    trunks, bones = torso_frames(poses_3d), bones_of(poses_3d)
    lengths = torch.linalg.vector_norm(bones, dim=-1, keepdim=True)
    whole = torch.linalg.vector_norm(given[:, ROOT + 1 :], dim=-1).amin(1) > 0
    _direct(bones, lengths, given @ trunks.mT, _ALL, chosen & has_trunk(trunks) & whole)
    return joints_of(poses_3d[:, ROOT], bones)


def _direct(bones: Tensor, lengths: Tensor, given: Tensor, joints: list[int], chosen: Tensor) -> None:
    """Turn the bones (N, 16, 3) that end in some joints, of the chosen poses (N,), as given ones (N, len(joints), 3) are; they keep their lengths
    (N, 16, 1)."""
    given = F.normalize(given, dim=-1) * lengths[:, joints]
    bones[:, joints] = given.where(chosen[:, None, None], bones[:, joints])
