"""Build both domains, Human3.6M's layout and SURREAL's, from any BVH motion-capture files.

    python data/prepare_data_bvh.py bandai_namco_1.zip bandai_namco_2.zip --out data/bandai
    python data/prepare_data_bvh.py path/to/cmu path/to/lafan1 --out data/mocap
    python data/prepare_data_bvh.py path/to/cmu --out data/large --poses 6500000    # a SURREAL domain of SURREAL's size, 3.1 GB
    python train_surreal.py --dua --data_dir data/bandai

Takes folders, .bvh files and .zip archives. Joints are matched by name: the conventions of CMU (as BVH, Poser or ASF calls them),
LAFAN1, 100STYLE, Mixamo, Bandai-Namco, HumanIK, Biovision and iClone are known, `--conventions FILE.json` adds others
(common/mocap/bvh_conventions.json shows the form). Each clip is given to one part of one domain: training subjects of Human3.6M,
bodies of SURREAL, or the test of both. The files are those that `data/prepare_data_demo.py` lists; which clip went where is in
`dataset.json`.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that `common` is found from the repository root

from common.start import run_script  # isort: skip  (before all else: see there)

import numpy as np

from common.datasets.h36m import TEST_SUBJECTS, TRAIN_SUBJECTS
from common.errors import DuaError
from common.mocap.bvh import load_all_bvh
from common.mocap.bvh_files import find_bvh
from common.mocap.domain_builder import add_size_arguments, build_domains, summarise
from common.mocap.takes import FPS, Clips

# Shares of the clips: a sixth for the tests of both domains, the rest for the two trainings, a tenth of each validates.
_TEST, _H36M = 1 / 6, 5 / 12
_VALIDATION = 0.1
_LEAST_CLIPS = 24  # so that every subject has a clip to train on, and every part has one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path, metavar="FOLDER_OR_ZIP", help="folders, .bvh files, .zip archives")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument("--conventions", type=Path, metavar="JSON", help="further names of joints")
    parser.add_argument("--takes", type=int, default=1, help="performances of each clip before Human3.6M's cameras (default: 1)")
    parser.add_argument(
        "--surreal_takes",
        type=int,
        default=4,
        help="performances of each clip before SURREAL's one camera (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed, same files (default: %(default)s)")
    add_size_arguments(parser)
    args = parser.parse_args()
    for name in ("takes", "surreal_takes"):
        if getattr(args, name) < 1:
            raise DuaError(f"--{name} {getattr(args, name)}: at least 1 is needed")

    sources = find_bvh(args.sources)
    if len(sources) < _LEAST_CLIPS:
        raise DuaError(f"{len(sources)} clips were found, {_LEAST_CLIPS} are needed to fill both domains and their tests")
    motions = load_all_bvh(sources, FPS, args.conventions, args.workers)
    h36m, surreal = assign(sorted(motions), np.random.default_rng([args.seed, 2]))
    names = ", ".join(path.name for path in args.sources)
    source = f"BVH: {names}"
    description = build_domains(
        motions,
        h36m,
        surreal,
        args.takes,
        args.surreal_takes,
        args.seed,
        args.out,
        source,
        args.poses,
        args.workers,
        args.detector_noise,
    )
    print(summarise(description))
    print(f"wrote them into {args.out}")


def assign(names: list[str], rng: np.random.Generator) -> tuple[dict[str, Clips], Clips]:
    """Give each clip to one part: {subject: its clips} of the Human3.6M domain, and the clips of the SURREAL domain."""
    shuffled = [names[i] for i in rng.permutation(len(names))]
    first, second = round(_TEST * len(names)), round((_TEST + _H36M) * len(names))
    test, h36m, surreal = shuffled[:first], shuffled[first:second], shuffled[second:]

    def held_out(clips: list[str]) -> int:
        return max(1, round(_VALIDATION * len(clips)))

    validation, train = h36m[: held_out(h36m)], h36m[held_out(h36m) :]
    count, tests = len(TRAIN_SUBJECTS), len(TEST_SUBJECTS)
    subjects = {s: Clips(tuple(train[i::count]), tuple(validation[i::count]), ()) for i, s in enumerate(TRAIN_SUBJECTS)}
    subjects |= {s: Clips((), (), tuple(test[i::tests])) for i, s in enumerate(TEST_SUBJECTS)}
    return subjects, Clips(tuple(surreal[held_out(surreal) :]), tuple(surreal[: held_out(surreal)]), tuple(test))


if __name__ == "__main__":
    run_script(main)
