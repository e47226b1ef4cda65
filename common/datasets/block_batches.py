"""Mini-batches of poses that stay in their file: a block shuffle, in an order that can be entered again anywhere.

A file on a disk is read by stretches; to fetch every pose from a place of its own would take a hundred times as long. So, every
epoch, the poses are cut into blocks of neighbours, the blocks are put into a new order, and `BUFFER` poses' worth of blocks at a
time are read and shuffled together; batches are cut from that. What a block shuffle loses against a full one is that poses of a
batch are neighbours more often. Two poses of a batch are of the same block with probability (block - 1) / (buffer - 1), and then
often of the same clip; of different blocks, they are of the same clip as seldom as any two poses. With blocks longer than a clip
of L poses, that makes about L / buffer, where a full shuffle has L / N: batches are drawn as from a data set of the buffer's size,
another one for every `BUFFER` / batch_size steps. Of 64 poses, all but one or two are then of clips of their own.
`shared_clips` counts it exactly for the clips at hand, `BlockBatches.describe` says it in the log, and
`tests/datasets/test_block_batches.py` counts it in batches.

A sweep over the file's order would be faster still and is no shuffle; drawing each batch from a buffer of a fixed size that is
refilled pose by pose mixes no better for the same memory, and cannot be entered in its middle without reading all that came before.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from common.datasets.batches import ShuffledBatches, StepBatches, check_batch_size
from common.datasets.poses import Poses, Sequence, UnlabelledPoses
from common.datasets.streamed import Streamed

BLOCK = 256
"""Neighbours that stay together: 2 or 3 clips. Of 1,024 rows (HDF5's chunk) a read is longer, and pairs of a clip are more frequent."""
BUFFER = 2**17
"""Poses that are shuffled together: 42 MB of 2D and 3D, and the same again for the buffer that is read ahead."""

P = TypeVar("P", bound=Poses | UnlabelledPoses)


@dataclass(frozen=True)
class _Buffer:
    key: tuple[int, int]  # epoch, place in it
    tensors: tuple[Tensor, ...]
    order: Tensor


class BlockBatches(StepBatches, Generic[P]):
    """Every epoch, all poses of a file by a block shuffle, `batch_size` at a time.

    The order depends on (seed, stream, epoch) alone. A batch that begins at the end of a buffer ends in the next one; what is left
    over after the last full batch of an epoch is left out. While batches of one buffer are handed out, a thread reads the next.

    Args:
        poses: of a file.
        tensors: makes of poses what a batch holds; they must treat each pose by itself.
        batch_size: rows per batch.
        seed: of the run.
        device: where batches are wanted.
        stream: tells apart several sources within a run.
        block, buffer: poses that stay together, and that are mixed; see above.

    Raises:
        DuaError: the batch is larger than the data, or smaller than the two rows that BatchNorm needs; later, whatever reading
            raises: poses are checked when they are read.
    """

    def __init__(
        self,
        poses: Streamed[P],
        tensors: Callable[[P], tuple[Tensor, ...]],
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
        stream: int = 0,
        block: int = BLOCK,
        buffer: int = BUFFER,
    ) -> None:
        check_batch_size(batch_size, len(poses))
        self.batch_size = batch_size
        self.steps = len(poses) // batch_size
        self._poses = poses
        self._tensors = tensors
        self._device = device
        self._seed = (seed, stream)
        self._block = block
        self._together = max(1, buffer // block)  # blocks in a buffer
        self._blocks = -(-len(poses) // block)
        ours, full = (100 * share for share in shared_clips(poses.sequences, block, self._together))
        self.quality = (
            f"block shuffle ({self._together} blocks of {block} poses at a time), "
            f"two poses of a batch are of one clip in {ours:.2g} % of cases, {full:.2g} % if all were shuffled"
        )
        self._now: _Buffer | None = None
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="block reader")
        self._ahead: tuple[tuple[int, int], Future[P]] | None = None
        self._edges: tuple[int, np.ndarray, np.ndarray] | None = None

    def at(self, step: int) -> tuple[Tensor, ...]:
        epoch, place = divmod(step, self.steps)
        first, stop = place * self.batch_size, (place + 1) * self.batch_size
        edges = self._order(epoch)[1]
        parts = []
        while first < stop:
            number = int(np.searchsorted(edges, first, side="right")) - 1
            buffer = self._buffer(epoch, number)
            rows = buffer.order[first - edges[number] : stop - edges[number]]
            parts.append(tuple(tensor[rows] for tensor in buffer.tensors))
            first += len(rows)
        return parts[0] if len(parts) == 1 else tuple(torch.cat(columns) for columns in zip(*parts, strict=True))

    def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Of an epoch: its blocks in their order, and the places (in poses) at which its buffers start, with the end."""
        if self._edges is None or self._edges[0] != epoch:
            blocks = np.random.default_rng([*self._seed, epoch]).permutation(self._blocks)
            sizes = np.minimum((blocks + 1) * self._block, len(self._poses)) - blocks * self._block
            edges = np.concatenate([[0], np.add.reduceat(sizes, np.arange(0, self._blocks, self._together)).cumsum()])
            self._edges = epoch, blocks, edges
        return self._edges[1:]

    def _buffer(self, epoch: int, number: int) -> _Buffer:
        if self._now is not None and self._now.key == (epoch, number):
            return self._now
        found = self._ahead is not None and self._ahead[0] == (epoch, number)
        reading = self._ahead[1] if self._ahead and found else self._read(epoch, number)
        self._now = self._ahead = None  # before the next is made: two of them, not three, are in memory
        poses = reading.result()
        order = np.random.default_rng([*self._seed, epoch, number]).permutation(len(poses))
        tensors = tuple(tensor.to(self._device) for tensor in self._tensors(poses))
        self._now = _Buffer((epoch, number), tensors, torch.from_numpy(order).to(self._device))
        used = self.steps * self.batch_size
        following = (epoch, number + 1) if self._order(epoch)[1][number + 1] < used else (epoch + 1, 0)
        self._ahead = following, self._read(*following)
        return self._now

    def _read(self, epoch: int, number: int) -> "Future[P]":
        """A buffer's poses, in the order of the file. All are read by the one thread: h5py lets but one at a time in."""
        chosen = np.sort(self._order(epoch)[0][number * self._together : (number + 1) * self._together])
        rows = (chosen[:, None] * self._block + np.arange(self._block)).ravel()
        return self._reader.submit(self._poses.read, rows[rows < len(self._poses)])


def make_batches(
    poses: P | Streamed[P],
    tensors: Callable[[P], tuple[Tensor, ...]],
    args: argparse.Namespace,
    device: torch.device | str,
    stream: int = 0,
) -> StepBatches:
    """Batches of the tensors that `tensors` makes of poses: from memory, or by blocks if the poses are a file's."""
    options: dict[str, Any] = {"batch_size": args.batch_size, "seed": args.seed, "stream": stream}
    if isinstance(poses, Streamed):
        return BlockBatches(poses, tensors, device=device, **options)
    return ShuffledBatches(*(tensor.to(device) for tensor in tensors(poses)), **options)


def shared_clips(sequences: tuple[Sequence, ...], block: int, together: int) -> tuple[float, float]:
    """How probably two poses of a batch are of one clip: by a block shuffle of `together` blocks at a time, and by a full one."""
    clip_stops = np.array([sequence.stop for sequence in sequences], dtype=np.int64)
    poses = int(clip_stops[-1])
    block_stops = np.minimum(np.arange(block, poses + block, block), poses)
    pieces, clips, blocks = (
        np.diff(stops, prepend=0).astype(np.float64) for stops in (np.union1d(clip_stops, block_stops), clip_stops, block_stops)
    )
    full = float(np.sum(clips * (clips - 1))) / max(1, poses * (poses - 1))
    if len(blocks) <= together:
        return full, full
    same_block = (block - 1) / (block * together - 1)
    near = np.sum(pieces * (pieces - 1)) / max(1.0, np.sum(blocks * (blocks - 1)))
    far = (np.sum(clips**2) - np.sum(pieces**2)) / (poses**2 - np.sum(blocks**2))
    return float(same_block * near + (1 - same_block) * far), full
