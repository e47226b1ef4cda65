"""Build both domains, Human3.6M's layout and SURREAL's, from any BVH motion-capture files.

    python data/prepare_data_bvh.py bandai_namco_1.zip bandai_namco_2.zip --out data/bandai
    python data/prepare_data_bvh.py path/to/cmu path/to/lafan1 --out data/mocap
    python data/prepare_data_bvh.py path/to/cmu --out data/large --poses 6500000    # a SURREAL domain of SURREAL's size, 3.1 GB
    python data/prepare_data_bvh.py --surreal_bvh cmu_mb_01_09.zip --h36m_bvh bandai_namco_1.zip bandai_namco_2.zip --out data/two
    python train_surreal.py --dua --data_dir data/bandai

Takes folders, .bvh files and .zip archives. Joints are matched by name: the conventions of CMU (as BVH, Poser or ASF calls them),
LAFAN1, 100STYLE, Mixamo, Bandai-Namco, HumanIK, Biovision and iClone are known, `--conventions FILE.json` adds others
(common/mocap/bvh_conventions.json shows the form). Each clip is given to one part of one domain: training subjects of Human3.6M,
bodies of SURREAL, or the test of both. With --surreal_bvh and --h36m_bvh each domain moves as a capture of its own does, and has its
own tests: of people who are not trained on, where files are named PERSON_CLIP by numbers as CMU's are, otherwise of clips. The files
are those that `data/prepare_data_demo.py` lists; which clip went where is in `dataset.json`.
"""

import argparse
import re
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
from common.mocap.motion import Motion
from common.mocap.takes import FPS, Clips

# Shares of the clips: a sixth for the tests of both domains, the rest for the two trainings, a tenth of each validates.
_TEST, _H36M = 1 / 6, 5 / 12
_VALIDATION = 0.1
_LEAST_CLIPS = 24  # so that every subject has a clip to train on, and every part has one
_LEAST_OF_ONE = 12  # the same for one domain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", type=Path, metavar="FOLDER_OR_ZIP", help="folders, .bvh files, .zip archives")
    for domain, name in (("surreal", "SURREAL's"), ("h36m", "Human3.6M's")):
        parser.add_argument(
            f"--{domain}_bvh",
            nargs="+",
            type=Path,
            default=[],
            metavar="FOLDER_OR_ZIP",
            help=f"of {name} domain alone, in their place",
        )
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

    two = bool(args.surreal_bvh or args.h36m_bvh)
    if two and (args.sources or not (args.surreal_bvh and args.h36m_bvh)):
        raise DuaError("--surreal_bvh and --h36m_bvh belong together, in place of FOLDER_OR_ZIP; give both, or neither")
    if not two and not args.sources:
        raise DuaError("FOLDER_OR_ZIP is needed: motion capture for both domains; or --surreal_bvh and --h36m_bvh, one for each")
    rng = np.random.default_rng([args.seed, 2])
    if two:
        motions, h36m, surreal = load_two(args, rng)
        source = f"BVH: surreal: {_names(args.surreal_bvh)}; h36m: {_names(args.h36m_bvh)}"
    else:
        found = find_bvh(args.sources)
        if len(found) < _LEAST_CLIPS:
            raise DuaError(f"{len(found)} clips were found, {_LEAST_CLIPS} are needed to fill both domains and their tests")
        motions = load_all_bvh(found, FPS, args.conventions, args.workers)
        h36m, surreal = assign(sorted(motions), rng)
        source = f"BVH: {_names(args.sources)}"
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


def load_two(args: argparse.Namespace, rng: np.random.Generator) -> tuple[dict[str, Motion], dict[str, Clips], Clips]:
    """All clips of two captures, and which of them play which part in the domain of their capture."""
    motions: dict[str, Motion] = {}
    parts: dict[str, Clips] = {}
    for domain, paths in (("h36m", args.h36m_bvh), ("surreal", args.surreal_bvh)):
        found = find_bvh(paths)
        if len(found) < _LEAST_OF_ONE:
            raise DuaError(
                f"--{domain}_bvh: {len(found)} clips were found, {_LEAST_OF_ONE} are needed to fill a domain and its test"
            )
        loaded = load_all_bvh(found, FPS, args.conventions, args.workers)
        if twice := sorted(motions.keys() & loaded):
            raise DuaError(f"{twice[0]} is a clip of --h36m_bvh and of --surreal_bvh; a clip belongs to one domain, give others")
        motions |= loaded
        parts[domain] = split_by_person({source.name: person_of(source.stem) for source in found if source.name in loaded}, rng)
    return motions, shared_out(parts["h36m"]), parts["surreal"]


def person_of(stem: str) -> str | None:
    """Who moves in a file, where its name says so as CMU's do ('09_12': subject 9, clip 12); None where it does not."""
    named = re.fullmatch(r"(\d+)_\d+", stem)
    return named[1] if named else None


def split_by_person(person_of: dict[str, str | None], rng: np.random.Generator) -> Clips:
    """A sixth of the clips tests, a tenth of the others validates. Where several people are named, whole people test, drawn until a sixth is
    reached, and nobody who tests is trained on; one at least remains.

    Args:
        person_of: who moves in each clip, None if nobody knows.
    """
    clips = sorted(person_of)
    shuffled = [clips[i] for i in rng.permutation(len(clips))]
    people = list(dict.fromkeys(person_of[name] for name in shuffled))
    wanted = round(_TEST * len(clips))
    test = shuffled[:wanted]
    if None not in people and len(people) > 1:
        test = []
        for person in people[:-1]:
            if len(test) < wanted:
                test += [name for name in shuffled if person_of[name] == person]
    rest = [name for name in shuffled if name not in test]
    held_out = _held_out(rest)
    return Clips(tuple(rest[held_out:]), tuple(rest[:held_out]), tuple(test))


def shared_out(clips: Clips) -> dict[str, Clips]:
    """{subject: clips}: the training clips among Human3.6M's training subjects, the test's among S9 and S11."""
    count, tests = len(TRAIN_SUBJECTS), len(TEST_SUBJECTS)
    subjects = {s: Clips(clips.train[i::count], clips.validation[i::count], ()) for i, s in enumerate(TRAIN_SUBJECTS)}
    return subjects | {s: Clips((), (), clips.test[i::tests]) for i, s in enumerate(TEST_SUBJECTS)}


def assign(names: list[str], rng: np.random.Generator) -> tuple[dict[str, Clips], Clips]:
    """Give each clip to one part: {subject: its clips} of the Human3.6M domain, and the clips of the SURREAL domain."""
    shuffled = [names[i] for i in rng.permutation(len(names))]
    first, second = round(_TEST * len(names)), round((_TEST + _H36M) * len(names))
    test, h36m, surreal = shuffled[:first], shuffled[first:second], shuffled[second:]
    held = _held_out(h36m)
    subjects = shared_out(Clips(tuple(h36m[held:]), tuple(h36m[:held]), tuple(test)))
    held = _held_out(surreal)
    return subjects, Clips(tuple(surreal[held:]), tuple(surreal[:held]), tuple(test))


def _held_out(clips: list[str]) -> int:
    return max(1, round(_VALIDATION * len(clips)))


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)


if __name__ == "__main__":
    run_script(main)
