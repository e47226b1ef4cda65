"""Files of `torch.save`, new and old: the same tensors and numbers come back."""

import numpy as np
import pytest
import torch

from common.files.tensors import NotPlain, load_tensors, outline
from tests.helpers.published_files import FORMATS, write


@pytest.mark.parametrize("how", FORMATS)
def test_tensors_and_numbers_come_back(tmp_path, how):
    base = torch.arange(12, dtype=torch.float64)
    content = {
        "turned": base.view(3, 4).T, "a part": base[5:8], "whole": torch.arange(-3, 4), "bool": torch.tensor([True, False]),
        "half": torch.tensor([1.5, -2], dtype=torch.bfloat16), "none": torch.zeros(0, 3), "number": torch.tensor(2.5),
        "numpy": [np.float64(-1.1), np.float32(1.1), np.int64(-(2**40)), np.bool_(True)], "text": ("a", None, 3, 2.5),
    }  # fmt: skip
    loaded = load_tensors(write(tmp_path / "a.pth", content, how))
    assert loaded.keys() == content.keys()
    for name, tensor in content.items():
        if isinstance(tensor, torch.Tensor):
            assert loaded[name].dtype == tensor.dtype, name
            assert loaded[name].equal(tensor), name
    assert loaded["numpy"] == content["numpy"]
    assert [type(number) for number in loaded["numpy"]] == [type(number) for number in content["numpy"]]
    assert loaded["text"] == content["text"]
    loaded["a part"][0] = 99  # parts of one tensor are still parts of one
    assert loaded["turned"][1, 1] == 99


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("other", [np.ones(3), np.random.RandomState(0), {1, 2}], ids=["array", "random state", "set"])
def test_what_is_more_than_that_is_refused_and_outlined(tmp_path, how, other):
    path = write(tmp_path / "a.pth", {"other": [other], "weights": {"w": torch.ones(2)}, "epoch": 3}, how)
    with pytest.raises(NotPlain, match="neither a tensor nor a plain container"):
        load_tensors(path)
    seen = outline(path)
    assert list(seen) == ["other", "weights", "epoch"]
    assert seen["epoch"] == 3
    assert list(seen["weights"]) == ["w"]
    assert not isinstance(seen["weights"]["w"], torch.Tensor)
