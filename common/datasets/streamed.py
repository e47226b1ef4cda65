"""Poses that stay in their file and are read where they are needed: what stands in for `common.datasets.poses.Poses` when those are larger
than memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Generic, Self, TypeVar

import numpy as np

from common.datasets.poses import Poses, Sequence, UnlabelledPoses

CHUNK = 2**16
"""Poses that are looked at together when a whole set is gone through: 21 MB of 2D and 3D."""
IN_MEMORY = 2**17
"""Poses that a held-out split keeps when it is brought into memory."""

P = TypeVar("P", bound=Poses | UnlabelledPoses)


Load = Callable[[np.ndarray, tuple[Sequence, ...]], P]
"""Reads rows of a file, (N,) increasing, as poses of these sequences, which are numbered from 0."""


class Streamed(Generic[P]):
    """Poses of a file, by the numbers 0 to N - 1 of those that are wanted of it.

    What `load` cannot read is out of reach: a target data set's `load` knows no labels.

    Args:
        name: of the data set.
        sequences: laid one after the other from 0.
        starts: the rows of the file at which they start.
        step: rows of the file from one pose of a sequence to the next.
        load: reads rows of the file.
        changes: what is done to all that is read, one after the other.
    """

    def __init__(
        self,
        name: str,
        sequences: tuple[Sequence, ...],
        starts: np.ndarray,
        step: int,
        load: Load[P],
        changes: tuple[Callable[[P], P], ...] = (),
    ) -> None:
        self.name = name
        self.sequences = sequences
        self._firsts = np.array([sequence.start for sequence in sequences], dtype=np.int64)
        self._starts = starts
        self._step = step
        self._load = load
        self._changes = changes

    def __len__(self) -> int:
        return self.sequences[-1].stop if self.sequences else 0

    def then(self, change: Callable[[P], P]) -> Self:
        """The same poses with `change` done to whatever is read; it must treat each pose by itself."""
        return type(self)(self.name, self.sequences, self._starts, self._step, self._load, (*self._changes, change))

    def select(self, wanted: Callable[[Sequence], bool]) -> Self:
        """The poses of the sequences that `wanted` admits, renumbered, in their order."""
        chosen = [i for i, sequence in enumerate(self.sequences) if wanted(sequence)]
        lengths = [self.sequences[i].stop - self.sequences[i].start for i in chosen]
        sequences = _lay_out([self.sequences[i] for i in chosen], lengths)
        return type(self)(self.name, sequences, self._starts[chosen], self._step, self._load, self._changes)

    def read(self, numbers: np.ndarray) -> P:
        """The poses of some numbers, (N,) increasing, in memory, and the parts of sequences that they are."""
        which = np.searchsorted(self._firsts, numbers, side="right") - 1
        found, lengths = np.unique(which, return_counts=True)
        sequences = _lay_out([self.sequences[i] for i in found], lengths.tolist())
        poses = self._load(self._starts[which] + (numbers - self._firsts[which]) * self._step, sequences)
        for change in self._changes:
            poses = change(poses)
        return poses

    def chunks(self, size: int = CHUNK) -> Iterator[P]:
        """All poses in their order, `size` at a time."""
        for first in range(0, len(self), size):
            yield self.read(np.arange(first, min(first + size, len(self))))

    def thinned(self, limit: int = IN_MEMORY) -> P:
        """Every n-th pose, in memory, with n as small as `limit` poses allow."""
        return self.read(np.arange(0, len(self), -(-len(self) // limit)))


def brought_into_memory(poses: Poses | Streamed[Poses], what: str) -> Poses:
    """`poses`, thinned evenly if they are a file's; then a line says so of `what` they are."""
    if isinstance(poses, Poses):
        return poses
    thinned = poses.thinned()
    if len(thinned) < len(poses):
        n = -(-len(poses) // IN_MEMORY)
        print(f"{what}: one in {n} of its {len(poses):,} poses, evenly, so that they fit into memory", flush=True)
    return thinned


def _lay_out(sequences: "list[Sequence] | tuple[Sequence, ...]", lengths: list[int]) -> tuple[Sequence, ...]:
    """Sequences, cut to `lengths`, one after the other from 0."""
    stops = np.cumsum(lengths).tolist()
    return tuple(replace(s, start=stop - length, stop=stop) for s, stop, length in zip(sequences, stops, lengths, strict=True))
