"""Writing `surreal_{split}.h5` (described in `common.datasets.surreal`) clip by clip, for the scripts in `data/`."""

import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from common.datasets.anomalies import check_not_mirrored
from common.datasets.poses import check_finite
from common.datasets.surreal_file import FORMAT, camera_attributes
from common.errors import DuaError
from common.files.writing import atomic_write
from common.geometry.skeleton import NUM_JOINTS, SMPL_24_TO_16, SMPL_JOINT_NAMES, handedness

if TYPE_CHECKING:
    import h5py

T = TypeVar("T")

_LIBVER = ("v110", "v110")
"""The oldest form whose structures have check sums; `fletcher32` adds them to the data. Readers verify both, so a flipped bit shows."""

_CHUNK = 1024  # frames; 288 kB of 3D joints
_JOINTS = len(SMPL_JOINT_NAMES)


class SurrealWriter:
    """A file of the SURREAL domain in the making; it appears under its name when the `with` block ends well.

        with SurrealWriter(path_surreal(out, "train"), source="SURREAL") as writer:
            writer.add("run0/01_01/01_01_c0001", joints_2d, joints_3d)

    Args:
        path: the file; one that exists is replaced.
        source: where the poses come from, kept in the file.
        detector: whether clips come with what a detector finds.
        hold: keep the data sets open between clips. Twice as fast, but HDF5 then lays out its file otherwise; the poses are the same.

    Raises:
        DuaError: (when the block ends) nothing was added, or the bodies are mirrored; (at any time) the disk is full.
    """

    def __init__(self, path: str | Path, source: str, hold: bool = False, detector: bool = False) -> None:
        self.path = Path(path)
        self.source = source
        self.frames = 0
        """Frames added so far."""
        self._hold = hold
        self._detector = detector
        self._held: dict[str, h5py.Dataset] = {}
        self._waiting: list[dict[str, np.ndarray]] = []  # clips that are not in the file yet
        self._written = 0
        self._starts: dict[str, int] = {}
        self._handedness = 0.0

    def __enter__(self) -> Self:
        import h5py  # here, not above: scripts that do without it need not wait

        with ExitStack() as stack:
            self._disk = _Disk(stack.enter_context(atomic_write(self.path, "w+b")))
            # HDF5 crashes at the end of the process if its opening accesses are interrupted: Ctrl-C waits until they are over.
            waiting = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            try:
                self._file = stack.enter_context(h5py.File(self._disk, "w", libver=_LIBVER))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, waiting)
            self._file.attrs.update(format=FORMAT, skeleton="smpl", source=self.source, **camera_attributes())
            columns: list[tuple[str, tuple[int, ...], str]] = [
                ("joints_2d", (_JOINTS, 2), "f4"),
                ("joints_3d", (_JOINTS, 3), "f4"),
            ]
            columns += [("joints_2d_detector", (NUM_JOINTS, 2), "f4")] if self._detector else []
            for name, shape, kind in (*columns, ("clip", (), "i4")):
                dataset = self._file.create_dataset(
                    name, (0, *shape), kind, maxshape=(None, *shape), chunks=(_CHUNK, *shape), fletcher32=True
                )
                if self._hold:
                    self._held[name] = dataset
            self._stack = stack.pop_all()  # all went well: it stays open until `__exit__`
        return self

    def add(self, clip: str, joints_2d: np.ndarray, joints_3d: np.ndarray, detector_2d: np.ndarray | None = None) -> None:
        """Append a clip.

        Args:
            clip: its name, unlike any before; `common.datasets.surreal.motion_of` finds the motion in it.
            joints_2d: (T, 24, 2) pixels in an image 320 wide and 240 high.
            joints_3d: (T, 24, 3) metres in camera space, not centred.
            detector_2d: (T, 16, 2) pixels, our joints of a detector's, of files that have them.
        """
        joints_2d, joints_3d = np.asarray(joints_2d), np.asarray(joints_3d)
        frames = len(joints_2d)
        if joints_2d.shape != (frames, _JOINTS, 2) or joints_3d.shape != (frames, _JOINTS, 3) or not frames:
            raise DuaError(
                f"clip {clip} has shapes {joints_2d.shape} and {joints_3d.shape}, (T, 24, 2) and (T, 24, 3) were expected"
            )
        check_finite(joints_2d, f"2D of clip {clip}")
        check_finite(joints_3d, f"3D of clip {clip}")
        if not clip or clip in self._starts:
            raise DuaError(f"clip '{clip}' comes twice or has no name; every clip needs a name of its own")
        columns = {"joints_2d": joints_2d.astype(np.float32), "joints_3d": joints_3d.astype(np.float32)}
        if self._detector:
            columns["joints_2d_detector"] = _checked_detections(detector_2d, frames, clip).astype(np.float32)
        self._waiting.append(columns | {"clip": np.full(frames, len(self._starts), np.int32)})
        self._handedness += float(np.sum(handedness(joints_3d[:, list(SMPL_24_TO_16)])))
        self._starts[clip] = self.frames
        self.frames += frames
        if self.frames - self._written >= _CHUNK:
            self._write(self.frames - self.frames % _CHUNK)

    def _write(self, stop: int) -> None:
        """The waiting frames up to `stop` into the file: whole chunks, each of which HDF5 would else read, sum and write for every clip."""
        columns = {name: np.concatenate([clip[name] for clip in self._waiting]) for name in self._waiting[0]}
        while self._written < stop:
            first, self._written = self._written, min(self._written + _CHUNK, stop)
            for name, values in columns.items():
                dataset = self._held.get(name) or self._file[name]
                try:
                    dataset.resize(self._written, axis=0)
                    dataset[first:], columns[name] = np.split(values, [self._written - first])
                except OSError:
                    self._disk.check()  # HDF5 complains of what it could not read back of a file that has failed already
                    raise
        self._waiting = [columns]
        self._disk.check()

    @property
    def clips(self) -> int:
        """Clips added so far."""
        return len(self._starts)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            with self._stack:
                self._finish()
        elif error is self._disk.error:
            self._stack.__exit__(kind, error, trace)  # `atomic_write` makes a `DuaError` of it
        else:
            # The block's own error goes on as it is, even an OSError: `atomic_write` must not take it for one of writing.
            self._disk.error = abandoned = _Abandoned()
            self._stack.__exit__(_Abandoned, abandoned, None)

    def _finish(self) -> None:
        import h5py

        if not self.frames:
            raise DuaError(f"{self.path} was not written: there is no usable frame to put into it")
        check_not_mirrored(self._handedness / self.frames, self.path, "look at what its clips were made of")
        if self._written < self.frames:
            self._write(self.frames)
        starts = np.array(list(self._starts.values()), dtype=np.int64)
        # Of fixed length: HDF5 keeps strings of varying length where no check sum guards them.
        names = np.array([name.encode() for name in self._starts])
        names = names.astype(h5py.string_dtype("utf-8", names.dtype.itemsize))
        stops = np.append(starts[1:], self.frames)
        for name, values in (("clips", names), ("clip_start", starts), ("clip_stop", stops)):
            self._file.create_dataset(name, data=values, chunks=True, fletcher32=True)
        self._file.attrs["complete"] = True
        self._file.close()
        self._disk.check()


def _checked_detections(detector_2d: np.ndarray | None, frames: int, clip: str) -> np.ndarray:
    found = np.asarray(detector_2d)
    if found.shape != (frames, NUM_JOINTS, 2):
        raise DuaError(f"clip {clip}: a detector's joints of shape {found.shape}, ({frames}, {NUM_JOINTS}, 2) was expected")
    check_finite(found, f"a detector's 2D of clip {clip}")
    return found


class _Abandoned(Exception):
    """Tells `atomic_write` to clean up."""


class _Disk:
    """The file under an HDF5 file: keeps the first error to itself, then swallows all that HDF5 still wants.

    HDF5 cannot close a file whose writes fail: on a full disk Python would end with a segmentation fault. An interrupt
    while HDF5 writes is put off for the same reason.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: BaseException | None = None

    def check(self) -> None:
        """Raise the error that was kept."""
        if self.error is not None:
            raise self.error

    def read(self, size: int = -1) -> bytes:
        return self._attempt(lambda: self._file.read(size), b"")

    def readinto(self, buffer: Any) -> int:
        return self._attempt(lambda: self._file.readinto(buffer), 0)  # type: ignore[attr-defined]

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._attempt(lambda: self._file.seek(offset, whence), offset)

    def tell(self) -> int:
        return self._attempt(self._file.tell, 0)

    def write(self, data: Any) -> int:
        return self._attempt(lambda: self._file.write(data), len(data))

    def truncate(self, size: int) -> int:
        return self._attempt(lambda: self._file.truncate(size), size)

    def flush(self) -> None:
        self._attempt(self._file.flush, None)

    def _attempt(self, action: Callable[[], T], otherwise: T) -> T:
        if self.error is None:
            try:
                return action()
            except BaseException as error:
                self.error = error
        return otherwise
