"""Checkpoints in the layouts of other projects, with random weights, and their forward passes in float64.

Written from the published layers alone: names and shapes of SemGCN's repository, what each layer computes.
"""

import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import torch

BONES = [
    (0, 1),
    (1, 2),
    (2, 3),
    (0, 4),
    (4, 5),
    (5, 6),
    (0, 7),
    (7, 8),
    (8, 9),
    (8, 10),
    (10, 11),
    (11, 12),
    (8, 13),
    (13, 14),
    (14, 15),
]
PAIRS = [(2, 3), (5, 6), (1, 4), (0, 7), (8, 9), (14, 15), (11, 12), (10, 13)]
EPSILON = 1e-5
"""Of torch's BatchNorm."""

State = OrderedDict[str, torch.Tensor]


class _Weights:
    """Random weights of a size that keeps numbers near 1."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.state: State = OrderedDict()

    def put(self, name: str, *shape: int, scale: float | None = None) -> None:
        scale = 1 / np.sqrt(shape[-1]) if scale is None else scale
        self.state[name] = torch.from_numpy((self.rng.normal(size=shape) * scale).astype("f4"))

    def batch_norm(self, name: str, width: int) -> None:
        for part in ("weight", "running_var"):
            self.state[f"{name}.{part}"] = torch.from_numpy(self.rng.uniform(0.5, 1.5, width).astype("f4"))
        for part in ("bias", "running_mean"):
            self.put(f"{name}.{part}", width, scale=0.3)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(1000)

    def linear(self, name: str, made: int, given: int) -> None:
        self.put(f"{name}.weight", made, given)
        self.put(f"{name}.bias", made, scale=0.1)


def linear_model(width: int = 24, stages: int = 2, given: int = 32, made: int = 45) -> State:
    """State dict of a `LinearModel`."""
    weights = _Weights(0)
    weights.linear("w1", width, given)
    weights.batch_norm("batch_norm1", width)
    for stage in range(stages):
        for i in (1, 2):
            weights.linear(f"linear_stages.{stage}.w{i}", width, width)
            weights.batch_norm(f"linear_stages.{stage}.batch_norm{i}", width)
    weights.linear("w2", made, width)
    return weights.state


def sem_gcn(width: int = 8, layers: int = 2, non_local: str | None = None, edges: int = 46) -> State:
    """State dict of a `SemGCN`; `non_local` is what its non-local layers are called."""
    weights = _Weights(1)

    def conv(name: str, given: int, made: int) -> None:
        weights.put(f"{name}.W", 2, given, made, scale=1 / np.sqrt(given))
        weights.put(f"{name}.e", 1, edges, scale=1)
        weights.put(f"{name}.bias", made, scale=0.1)

    def layer(name: str, given: int) -> None:
        conv(f"{name}.gconv", given, width)
        weights.batch_norm(f"{name}.bn", width)

    def non_local_layer(name: str) -> None:
        half = width // 2
        for part in ("g.0", "theta", "phi.0"):
            weights.put(f"{name}.{part}.weight", half, width, 1, scale=0.5)
            weights.put(f"{name}.{part}.bias", half, scale=0.1)
        weights.put(f"{name}.concat_project.0.weight", 1, width, 1, 1, scale=0.5)
        weights.put(f"{name}.W.0.weight", width, half, 1, scale=0.5)
        weights.put(f"{name}.W.0.bias", width, scale=0.1)
        weights.batch_norm(f"{name}.W.1", width)

    layer("gconv_input.0", 2)
    if non_local:
        non_local_layer(f"gconv_input.1.{non_local}")
    for i in range(layers):
        place = 2 * i if non_local else i
        for half in (1, 2):
            layer(f"gconv_layers.{place}.gconv{half}", width)
        if non_local:
            non_local_layer(f"gconv_layers.{place + 1}.{non_local}")
    conv("gconv_output", width, 3)
    return weights.state


# --- forward passes -----------------------------------------------------------------------------------------------------


def _doubles(state: State) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().astype(np.float64) for name, tensor in state.items()}


def _normalised(w: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    scaled = (x - w[f"{name}.running_mean"]) / np.sqrt(w[f"{name}.running_var"] + EPSILON)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def run_linear_model(state: State, inputs_2d: np.ndarray) -> np.ndarray:
    """(N, 16, 2) -> (N, 16, 3): the fifteen joints that it predicts, and the hip at 0 before them."""
    w = _doubles(state)

    def layer(linear: str, norm: str, x: np.ndarray) -> np.ndarray:
        return np.maximum(_normalised(w, norm, x @ w[f"{linear}.weight"].T + w[f"{linear}.bias"]), 0)

    x = layer("w1", "batch_norm1", inputs_2d.reshape(len(inputs_2d), 32).astype(np.float64))
    stage = 0
    while f"linear_stages.{stage}.w1.weight" in w:
        name = f"linear_stages.{stage}"
        x = x + layer(f"{name}.w2", f"{name}.batch_norm2", layer(f"{name}.w1", f"{name}.batch_norm1", x))
        stage += 1
    poses = (x @ w["w2.weight"].T + w["w2.bias"]).reshape(-1, 15, 3)
    return np.concatenate([np.zeros((len(poses), 1, 3)), poses], axis=1)


def run_sem_gcn(state: State, inputs_2d: np.ndarray) -> np.ndarray:
    """(N, 16, 2) -> (N, 16, 3), centred on the hip as its evaluation does."""
    w = _doubles(state)
    neighbours = np.eye(16, dtype=bool)
    for parent, child in BONES:
        neighbours[parent, child] = neighbours[child, parent] = True
    own = np.eye(16)

    def conv(name: str, x: np.ndarray) -> np.ndarray:
        scores = np.full((16, 16), -9e15)
        scores[neighbours] = w[f"{name}.e"][0]
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        first, second = w[f"{name}.W"]
        return (shares * own) @ (x @ first) + (shares * (1 - own)) @ (x @ second) + w[f"{name}.bias"]

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return np.maximum(_normalised(w, f"{name}.bn", conv(f"{name}.gconv", x)), 0)

    def pointwise(name: str, x: np.ndarray) -> np.ndarray:
        return x @ w[f"{name}.weight"][..., 0].T + w[f"{name}.bias"]

    def non_local(name: str, x: np.ndarray) -> np.ndarray:
        theta = pointwise(f"{name}.theta", x)  # (N, 16, half)
        phi, g = (
            np.stack([np.maximum(y[:, i], y[:, j]) for i, j in PAIRS], axis=1)  # (N, 8, half)
            for y in (pointwise(f"{name}.phi.0", x), pointwise(f"{name}.g.0", x))
        )
        both = np.concatenate(
            [np.repeat(theta[:, :, None], len(PAIRS), axis=2), np.repeat(phi[:, None], 16, axis=1)], axis=-1
        )  # (N, 16, 8, width)
        attention = np.maximum(both @ w[f"{name}.concat_project.0.weight"][0, :, 0, 0], 0) / len(PAIRS)
        return x + _normalised(w, f"{name}.W.1", pointwise(f"{name}.W.0", attention @ g))

    def non_local_below(name: str, x: np.ndarray) -> np.ndarray:
        (found,) = (key.removesuffix(".theta.bias") for key in w if key.startswith(name) and key.endswith("theta.bias"))
        return non_local(found, x)

    x = layer("gconv_input.0", inputs_2d.astype(np.float64))
    if any(key.startswith("gconv_input.1.") for key in w):
        x = non_local_below("gconv_input.1.", x)
    for i in range(len({key.split(".")[1] for key in w if key.startswith("gconv_layers.")})):
        name = f"gconv_layers.{i}"
        residual = f"{name}.gconv1.gconv.W" in w
        x = x + layer(f"{name}.gconv2", layer(f"{name}.gconv1", x)) if residual else non_local_below(f"{name}.", x)
    poses = conv("gconv_output", x)
    return poses - poses[:, :1]


# --- files --------------------------------------------------------------------------------------------------------------


class _Python2(pickle._Pickler):
    """Writes strings and bytes alike, as Python 2 does."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def save_text(self, text: str | bytes) -> None:
        data = text.encode("ascii") if isinstance(text, str) else text
        self.write((b"U" + struct.pack("<B", len(data)) if len(data) < 256 else b"T" + struct.pack("<i", len(data))) + data)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_text


def _dump_python_2(value: Any, file: Any, protocol: int = 2) -> None:
    _Python2(file, protocol).dump(value)


FORMATS = ("zip", "before zips", "python 2")


def write(path: Path, content: Any, how: str = "before zips") -> Path:
    """`content` as `torch.save` writes it today, as torch before 1.6 did, or as it did under Python 2."""
    buffer = io.BytesIO()
    if how == "python 2":
        module = SimpleNamespace(__name__="Python 2", Pickler=_Python2, dump=_dump_python_2)
        torch.save(content, buffer, pickle_module=module, _use_new_zipfile_serialization=False)
    else:
        torch.save(content, buffer, _use_new_zipfile_serialization=how == "zip")
    data = buffer.getvalue()
    if how != "zip":
        data = data.replace(b"cnumpy._core.", b"cnumpy.core.")  # as numpy 1 wrote it
    path.write_bytes(data)
    return path


def checkpoint(state: State, prefix: str = "", error: str = "error", key: str = "state_dict") -> dict[str, Any]:
    """What a training script of SemGCN saves: weights, a step of Adam, and numbers, some of them numpy's."""
    named = OrderedDict((prefix + name, tensor) for name, tensor in state.items())
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    return {
        "epoch": 97, "lr": np.float64(8.6e-4), "step": np.int64(363000), key: named, "optimizer": optimizer.state_dict(),
        error: np.float64(44.25),
    }  # fmt: skip
