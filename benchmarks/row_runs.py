"""One row of the benchmark and one seed: made as its user would make it, and tested by what its script does not test."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.kept import RUNS, key_of
from benchmarks.results_table import ON_DETECTOR, Task
from benchmarks.rows import BOUND_SCRIPTS, DIRECTIONS, ROWS
from benchmarks.runs import arguments_of, evaluated, finished_run, in_a_path, one_run, read_results, tested_again
from common.errors import DuaError
from common.evaluation.tables import RAW
from common.training.checkpoint import BEST as BEST_EPOCH
from common.training.checkpoint import load_checkpoint, rebuild_networks


def run_row(task: Task, sizes: Mapping[tuple[str, str], list[str]], data_dir: str, converter: Path, out: Path) -> dict[str, Any]:
    """The results of one row and seed, trained, taken up or found; `sizes` are the options of `training_sizes`."""
    direction, network, name, seed = task
    row = ROWS[name]
    if row.tests is not None:
        run = finished_run(folder_of((direction, network, row.tests, seed), out), "results.json")
        assert run is not None, "what is tested again was trained before"
        if row.on_target:
            return _bound_again(task, run, data_dir, converter)
        return tested_again(DIRECTIONS[direction][:1], run, data_dir, row.options, folder_of(task, out))
    given = ["--converter", str(converter)] if row.oracle or "converter" in row.modules else []
    if row.oracle:
        command = ["benchmarks/oracle.py", "--source", direction.split()[0], "--network", network, *given]
    elif row.on_target:
        command = [*BOUND_SCRIPTS[direction, network]]
    else:
        command = [*DIRECTIONS[direction], "--network", network, *row.switches(), *given, *row.options]
    command += ["--data_dir", data_dir, *sizes[direction, network], "--seed", str(seed)]
    return read_results(one_run(command, folder_of(task, out), "results.json") / "results.json")


def _bound_again(task: Task, run: Path, data_dir: str, converter: Path) -> dict[str, Any]:
    """Results of the bound's network, tested with the options of another row: its script, which trains in domain, has none of them."""
    target = task[0].split()[-1]
    errors = evaluated(run, target, "gt", data_dir, converter if target == "surreal" else None, ROWS[task[2]].options)
    if "converted" not in errors:
        return {"average": errors["raw"], "also": {}}
    return {"average": errors["converted"], "also": {RAW: {"average": errors["raw"]}}}


def lacks_tests(task: Task, result: Mapping[str, Any], out: Path, data_dir: Path, detected: bool) -> bool:
    """Whether a kept run was never put to one of `more_tests`, and its network, of these data, is still there to be."""
    row = ROWS[task[2]]
    unconverted = row.on_target and task[0].endswith("surreal") and RAW not in result["also"]
    unseen = detected and ON_DETECTOR not in result["average"]
    run = trained_run(task, out) if unconverted or unseen else None
    return run is not None and Path(arguments_of(run)["data_dir"]).resolve() == data_dir


def more_tests(task: Task, result: dict[str, Any], data_dir: str, converter: Path, out: Path, detected: bool) -> None:
    """Put into a result what the training script does not test, if its network is still there: SURREAL's bound against converted labels,
    and the target's 2D as a detector sees it, if the data have that."""
    target = task[0].split()[-1]
    run = trained_run(task, out)
    if run is None:
        return
    row = ROWS[task[2]]
    of_smpl = converter if row.on_target and target == "surreal" else None
    options = row.options if row.tests else ()
    if of_smpl and RAW not in result["also"]:
        errors = evaluated(run, target, "gt", data_dir, of_smpl, options)["converted"]
        result |= {"average": errors, "also": {RAW: {"average": result["average"]}}}
    if detected:
        found = evaluated(run, target, "detector", data_dir, of_smpl, options)
        seen = {labels: errors["mpjpe"] for labels, errors in found.items()}
        both = RAW in result["also"]
        result["average"][ON_DETECTOR] = seen["converted" if both else "raw"]
        if both:
            result["also"][RAW]["average"][ON_DETECTOR] = seen["raw"]


def trained_run(task: Task, out: Path) -> Path | None:
    """The folder of a finished run whose network was not deleted; of rows that test another's network again, the bound's alone have one."""
    direction, network, name, seed = task
    row = ROWS[name]
    run = finished_run(folder_of((direction, network, (row.on_target and row.tests) or name, seed), out), "results.json")
    return run if run is not None and (run / BEST_EPOCH).exists() else None


def network_of(task: Task, out: Path, data_dir: str, done: str) -> tuple[Path, dict[str, Any], dict[str, nn.Module]]:
    """(file, checkpoint, networks) of a finished run's best epoch, to be looked at on the data that it was trained on.

    Args:
        done: what was not done with it before its network went, for the message.

    Raises:
        DuaError: the network is gone, or was trained on other data.
    """
    run = trained_run(task, out)
    if run is None:
        raise DuaError(
            f"{out}: {', '.join(key_of(task))} was never {done}, and its network is gone; delete its line in {RUNS} and run it anew"
        )
    trained_on = arguments_of(run)["data_dir"]
    if Path(trained_on).resolve() != Path(data_dir).resolve():
        raise DuaError(f"{run} was trained on {trained_on}, not on {data_dir}; give that with --data_dir")
    file = run / BEST_EPOCH
    checkpoint = load_checkpoint(file)
    return file, checkpoint, rebuild_networks(checkpoint, file)


def folder_of(task: Task, out: Path) -> Path:
    direction, network, row, seed = task
    return out / direction.replace(" -> ", "_to_") / network / in_a_path(row) / f"seed_{seed}"
