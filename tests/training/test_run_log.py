"""What a run leaves beside its checkpoints."""

import numpy as np
import pytest
from PIL import Image

from common.training.run_log import plot_curves

LOSSES = {"a loss": (0.3, 0.2, 0.1), "a likelihood, which may be negative": (0.3, -0.2, -1.0)}


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("losses", LOSSES.values(), ids=list(LOSSES))
def test_curves_are_drawn(tmp_path, losses, validated):
    history = [{"epoch": epoch, "loss": loss, "train_mpjpe_mm": 90.0 - epoch} for epoch, loss in enumerate(losses, 1)]
    if validated:
        history = [row | {"val_mpjpe_mm": 95.0 + row["epoch"], "val_p_mpjpe_mm": 60.0} for row in history]
    plot_curves(tmp_path, history)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1350, 510)  # 9 x 3.4 inches
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    drawn = [(pixels == colour).all(axis=1).any() for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00), (0x00, 0x9E, 0x73))]
    assert drawn == [True, validated, validated]  # loss and training error, validation's, and its P-MPJPE
