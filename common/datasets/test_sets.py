"""The test data of each data set, by name."""

from common.datasets.h36m import TEST_SUBJECTS, load_h36m
from common.datasets.poses import Poses
from common.datasets.streamed import Streamed
from common.datasets.surreal import load_surreal
from common.datasets.surreal_file import DETECTOR
from common.datasets.surreal_stream import open_surreal_test
from common.errors import DuaError

DATA_SETS = ("h36m", "surreal")


def keypoints_of(name: str, keypoints: str) -> str:
    """Where a data set's 2D comes from with such `--keypoints`: they name Human3.6M's, and SURREAL has but its own and a detector's."""
    return "gt" if name == "surreal" and keypoints != DETECTOR else keypoints


def load_test(name: str, data_dir: str, keypoints: str, shoulders: str, downsample: int) -> tuple[Poses, str]:
    """(poses, where their 2D came from) of S9 and S11 of Human3.6M ('h36m'), or of SURREAL's test split ('surreal').

    Raises:
        DuaError: the data are not in `data_dir`, or are damaged; or there is no such data set.
    """
    if name not in DATA_SETS:
        raise DuaError(f"'{name}' is no data set to test on; there are {' and '.join(DATA_SETS)}")
    if name == "h36m":
        return load_h36m(data_dir, keypoints, TEST_SUBJECTS, downsample=downsample), keypoints
    return load_surreal(data_dir, "test", shoulders, downsample, keypoints=keypoints), keypoints_of(name, keypoints)


def open_test(name: str, data_dir: str, keypoints: str, shoulders: str, downsample: int) -> tuple[Poses | Streamed[Poses], str]:
    """`load_test`, but a test of SURREAL that is too large for memory stays in its file."""
    if name != "surreal":
        return load_test(name, data_dir, keypoints, shoulders, downsample)
    return open_surreal_test(data_dir, shoulders, downsample, keypoints=keypoints), keypoints_of(name, keypoints)
