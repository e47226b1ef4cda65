"""A checkpoint's lifting network and uncertainty estimator as one ONNX file, for runtimes without torch.

Input `inputs_2d` (N, 16, 2) screen coordinates (`common.geometry.camera.normalize_screen_coordinates`), outputs `poses_3d` (N, 16, 3)
metres from the hip and, with an estimator, `uncertainty` (N, 16) in the estimator's unit; any N. The order of the joints, the
skeleton, the normalisation and that unit are in the file's metadata.
"""

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from common.errors import DuaError, short_reason
from common.files.writing import atomic_write
from common.geometry.skeleton import NUM_JOINTS
from common.prediction.predictor import Predictor
from common.training.checkpoint import NORMALISATION


class _LiftAndJudge(nn.Module):
    """What `common.evaluation.evaluate.predict` does with a batch, as one network."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.lifter = networks["lifter"]
        self.estimator = networks.get("uncertainty")

    def forward(self, inputs_2d: Tensor) -> tuple[Tensor, ...]:
        poses_3d, features = self.lifter(inputs_2d)
        return (poses_3d,) if self.estimator is None else (poses_3d, self.estimator(features))


def export_onnx(predictor: Predictor, path: str | Path) -> list[str]:
    """Write the networks of `predictor` as an ONNX file, whole or not at all; returns the names of its outputs.

    Raises:
        DuaError: the packages for it are not installed, or torch's exporter fails.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DuaError(f"ONNX export needs the package {error.name}: pip install onnx onnxscript") from error
    network = _LiftAndJudge(predictor.lifter.networks).eval()
    names = ["poses_3d"] + (["uncertainty"] if network.estimator is not None else [])
    example = torch.zeros(2, NUM_JOINTS, 2, device=predictor.lifter.device)
    loggers = {name: logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")}
    levels = {name: logger.level for name, logger in loggers.items()}
    try:
        for logger in loggers.values():  # they tell of torchvision and of constants that were not folded
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=["inputs_2d"],
                output_names=names,
                dynamic_shapes={"inputs_2d": {0: torch.export.Dim("batch")}},
            )
    except Exception as error:  # the exporter raises nearly anything
        reason = short_reason(error)
        raise DuaError(f"torch {torch.__version__} cannot export this network ({reason}); a newer torch may") from error
    finally:
        for name, logger in loggers.items():
            logger.setLevel(levels[name])
    assert program is not None
    model = program.model_proto
    metadata = {
        "joints": json.dumps(predictor.joint_names),
        "skeleton": predictor.definition,
        "inputs_2d": NORMALISATION["inputs_2d"] + ("; camera turned to the root" if predictor.test_time.canonical else ""),
        "poses_3d": NORMALISATION["targets_3d"] + (" (of the turned camera)" if predictor.test_time.canonical else ""),
        **({} if predictor.uncertainty_unit is None else {"uncertainty": predictor.uncertainty_unit}),
    }
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    with atomic_write(path) as file:
        file.write(model.SerializeToString())
    return names
