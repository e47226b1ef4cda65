"""The rows of the open cross-dataset table: what each trains, and with which options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.errors import DuaError

DIRECTIONS = {"surreal -> h36m": ["train_surreal.py", "--dua"], "h36m -> surreal": ["train_h36m_dan.py"]}
BOUND_SCRIPTS = {
    ("surreal -> h36m", "martinez"): ["main_prob.py"],
    ("surreal -> h36m", "semgcn"): ["main_gcn_prob.py"],
    ("h36m -> surreal", "martinez"): ["train_surreal.py", "--no_dua"],
    ("h36m -> surreal", "semgcn"): ["train_surreal.py", "--no_dua", "--network", "semgcn"],
}

NONE = "no adaptation"
CONVERTER = "+ converter"
DUA = "DUA (all)"
CONTROL = "control: target statistics only (weight 0)"
SELECTED = "oracle, epoch by the target's labels"
ORACLE = "oracle, target labels in the loss"
"""The published protocol: it is seen beside the others how much of a gain comes of looking at the target's labels."""
BOUND = "trained on the target"
BOUND_FLIPPED = f"{BOUND}, flip at test"
"""The bound with the flip that the combinations have: the test time's gain is no gain of adaptation."""
BEST = "converter + canonical + gpa + augment + flip"
"""The combination: every method that by itself brings the source's 2D nearer to the target's (`benchmarks/domain_gap.py`, which
reads no label of the target), and what needs no choice, the converter and the flip."""

_MODULES = ("converter", "uncertainty", "domain")
_BEYOND = {
    "gpa": ["--align", "gpa"],
    "canonical": ["--align", "canonical"],
    "MK-MMD": ["--discrepancy", "mkmmd"],
    "CORAL": ["--discrepancy", "coral"],
    "augment": ["--augment"],
    "reproject": ["--reproject"],
    "teacher": ["--teacher"],
    "views": ["--align", "views"],
    "box": ["--scale", "box"],
    "new poses": ["--new_poses"],
    "target joints": ["--target_joints"],
    "target poses": ["--target_poses"],
}
ADVERSARY_WEIGHTS = ("0.001", "0.01", "0.1", "1")
VIEWS = "converter + canonical + views + augment + flip"
CHOSEN = f"{VIEWS}, reproject, teacher"
"""What `benchmarks/rule.py` picked where its formula was fixed: build seed 0, preset trial, both directions, candidates without new poses."""
REPROJECTED = f"{VIEWS}, reproject"
NEW_POSES = f"{VIEWS}, reproject, new poses"
TARGET_JOINTS = f"{NEW_POSES}, target joints"
TARGET_POSES = f"{NEW_POSES}, target poses"
ALL_OF_TARGET = f"{TARGET_JOINTS}, target poses"
PICKED = (CHOSEN, REPROJECTED, NEW_POSES, TARGET_JOINTS, TARGET_POSES, ALL_OF_TARGET)
"""Combinations of now: what it picked there, and among what it picks on build seed 1 and preset standard (docs/results.md): the last two."""


def _combination(*align: str, more: tuple[str, ...] = ()) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Modules and options of converter, --augment, --tta and what is given."""
    estimator = ("uncertainty",) if "--teacher" in more else ()
    return ("converter", *estimator), ("--align", *align, "--augment", "--tta", *more)


_COMBINATIONS = {
    "converter + canonical + augment + flip": _combination("canonical"),
    "converter + gpa + augment + flip": _combination("gpa"),
    BEST: _combination("canonical", "gpa"),
    f"{BEST}, reproject": _combination("canonical", "gpa", more=("--reproject",)),
    f"{BEST}, teacher": _combination("canonical", "gpa", more=("--teacher",)),
    f"{BEST}, reproject, teacher": _combination("canonical", "gpa", more=("--reproject", "--teacher")),
    VIEWS: _combination("canonical", "views"),
    REPROJECTED: _combination("canonical", "views", more=("--reproject",)),
    f"{VIEWS}, teacher": _combination("canonical", "views", more=("--teacher",)),
    CHOSEN: _combination("canonical", "views", more=("--reproject", "--teacher")),
    "converter + canonical + augment + box + flip": _combination("canonical", more=("--scale", "box")),
    f"{BEST}, new poses": _combination("canonical", "gpa", more=("--new_poses",)),
    f"{VIEWS}, new poses": _combination("canonical", "views", more=("--new_poses",)),
    NEW_POSES: _combination("canonical", "views", more=("--reproject", "--new_poses")),
    f"{REPROJECTED}, target joints": _combination("canonical", "views", more=("--reproject", "--target_joints")),
    TARGET_JOINTS: _combination("canonical", "views", more=("--reproject", "--new_poses", "--target_joints")),
    f"{REPROJECTED}, target poses": _combination("canonical", "views", more=("--reproject", "--target_poses")),
    TARGET_POSES: _combination("canonical", "views", more=("--reproject", "--new_poses", "--target_poses")),
    ALL_OF_TARGET: _combination("canonical", "views", more=("--reproject", "--new_poses", "--target_joints", "--target_poses")),
    f"{CHOSEN}, new poses": _combination("canonical", "views", more=("--reproject", "--teacher", "--new_poses")),
}
_ALONE_WITH = {
    "MK-MMD": ("domain",), "CORAL": ("domain",), "reproject": ("converter",), "teacher": ("uncertainty",), "target joints": ("converter",),
}  # fmt: skip
"""Modules of the rows of one method that is nothing without them: a discrepancy takes the classifier's place, and its target batches;
2D that is reprojected, or projected, has to mean the joints that are predicted; a teacher's joints count by their uncertainty."""
_TEST_TIME = {"flip at test": ["--tta"], "test BatchNorm": ["--test_bn"]}


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        modules: those of DUA's modules that are on.
        options: further ones of the training script.
        tests: the row whose trained networks are tested again, with `options`; None if the row is trained.
        on_target: trained in domain on the target's labels: the upper bound.
        oracle: made by `benchmarks/oracle.py`, with labels of the target.
    """

    modules: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    tests: str | None = None
    on_target: bool = False
    oracle: bool = False

    def switches(self) -> list[str]:
        return [f"--no_{module}" for module in _MODULES if module not in self.modules]

    def there_is(self, direction: str) -> bool:
        """Whether it is a row of that direction: SURREAL's labels, projected anew, are in the target's joints without being asked."""
        projected = {"--augment", "--new_poses", "--target_poses", "gpa", "views"} & set(self.options)
        return "--target_joints" not in self.options or direction == "h36m -> surreal" or not projected


def _all_rows() -> dict[str, Row]:
    rows = {
        NONE: Row(),
        CONVERTER: Row(("converter",)),
        "+ uncertainty": Row(("uncertainty",)),
        "+ domain classifier": Row(("domain",)),
        DUA: Row(_MODULES),
        CONTROL: Row(_MODULES, ("--domain_weight", "0")),
        "DUA, BatchNorm by domain": Row(_MODULES, ("--domain_bn",)),
    }
    for of in ("poses", "features"):
        for weight in ADVERSARY_WEIGHTS:
            if (of, weight) != ("poses", "0.001"):  # which is DUA itself
                rows[f"DUA, {of}, weight {weight}"] = Row(_MODULES, ("--domain_of", of, "--domain_weight", weight))
    for name, options in _BEYOND.items():
        rows[name] = Row(_ALONE_WITH.get(name, ()), tuple(options))
    rows |= {name: Row((), tuple(options), tests=NONE) for name, options in _TEST_TIME.items()}
    rows |= {f"DUA, {name}": Row(_MODULES, tuple(options)) for name, options in _BEYOND.items()}
    rows |= {f"DUA, {name}": Row(_MODULES, tuple(options), tests=DUA) for name, options in _TEST_TIME.items()}
    rows |= {name: Row(*of) for name, of in _COMBINATIONS.items()}
    rows[SELECTED] = Row(_MODULES, ("--select", "target"))
    rows[ORACLE] = Row(_MODULES, oracle=True)
    rows[BOUND] = Row(on_target=True)
    rows[BOUND_FLIPPED] = Row((), ("--tta",), tests=BOUND, on_target=True)
    return rows


ROWS = _all_rows()
CANDIDATES = (CONVERTER, *_COMBINATIONS)
"""Of the rule that picks a combination without labels of the target (`benchmarks/rule.py`)."""
_ADVERSARY = (DUA, CONTROL, *(name for name in ROWS if ", weight " in name))
SETS = {
    "all": tuple(ROWS),
    "short": (NONE, CONVERTER, DUA, BEST, BOUND),
    "main": (
        NONE, BOUND, BOUND_FLIPPED, CONVERTER, DUA, CONTROL, BEST, *PICKED, "canonical", "gpa", "augment", "views", "box", "reproject",
        "teacher", "new poses", "target joints", "target poses", "DUA, BatchNorm by domain", SELECTED, ORACLE,
    ),
    "candidates": (NONE, BOUND, *CANDIDATES),
    "adversary": (NONE, *_ADVERSARY),
}  # fmt: skip
"""By `--rows`: which rows are made, in this order for each seed."""


def rows_of(names: Sequence[str]) -> list[str]:
    """The rows that some names of rows and of sets stand for, each once, and before a row that is tested again the one that is trained."""
    unknown = [name for name in names if name not in SETS and name not in ROWS]
    if unknown:
        raise DuaError(
            f"--rows '{unknown[0]}': no row and no set of rows; sets are {', '.join(SETS)}, rows are in benchmarks/rows.py"
        )
    wanted = [row for name in names for row in SETS.get(name, (name,))]
    return list(dict.fromkeys(row for name in wanted for row in (ROWS[name].tests or name, name)))


@dataclass(frozen=True)
class Size:
    """How large a training is. All rows make the same number of steps: an epoch of DUA is a pass over the longer domain, one without
    target a pass over the source, and rows that trained for longer would not compare.

    Attributes:
        epochs: of each direction, by its target, or of both.
    """

    options: tuple[str, ...]
    batch_size: int
    downsample: int
    limit_batches: int
    epochs: int | Mapping[str, int]

    def command(self, poses: int, target: str, times: int = 1) -> list[str]:
        """Options of the scripts, of a training that is so many times as long. On data whose smaller training set (`poses`, every frame)
        has fewer batches than an epoch shall have, epochs are shorter and more."""
        batches = min(self.limit_batches, poses // self.downsample // self.batch_size)
        wanted = self.epochs if isinstance(self.epochs, int) else self.epochs[target]
        epochs = round(times * wanted * self.limit_batches / max(batches, 1))
        sizes = {"batch_size": self.batch_size, "downsample": self.downsample, "limit_batches": batches, "epochs": epochs}
        return [*self.options, *(word for name, value in sizes.items() for word in (f"--{name}", str(value)))]


PRESETS = {
    # A quarter of the width, large batches, 1,000 steps, every second frame: a run takes half a minute of one core.
    ("quick", "martinez"): Size(("--hid_dim", "256"), 256, 2, 100, 10),
    ("quick", "semgcn"): Size(("--hid_dim", "64"), 256, 2, 100, 10),  # half the width
    # The same by the fast schedule, so that as short a run comes much farther: for what is tried on build seed 0.
    ("trial", "martinez"): Size(("--schedule", "fast", "--hid_dim", "256"), 256, 2, 100, 10),
    ("trial", "semgcn"): Size(("--schedule", "fast", "--hid_dim", "64"), 64, 2, 100, 10),
    # The papers' networks; Martinez so long that the bound is within 3 % of what four times as many steps reach, SemGCN four times
    # as long as what was 27 and 10 % short, and still 13 and 4 % (docs/results.md), validated, and views of the target looked
    # at, as often as Martinez's: every 400 steps, as validating takes longer than as many.
    ("standard", "martinez"): Size(("--schedule", "fast"), 256, 1, 100, {"h36m": 40, "surreal": 15}),
    ("standard", "semgcn"): Size(("--schedule", "fast", "--non_local"), 64, 1, 400, {"h36m": 40, "surreal": 15}),
    # The papers' networks and batch, 100,000 steps.
    ("full", "martinez"): Size((), 64, 1, 500, 200),
    ("full", "semgcn"): Size(("--non_local",), 64, 1, 500, 200),
}
