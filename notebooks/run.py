"""Runs the notebooks and saves them with what they print and draw, and nothing that differs from machine to machine.

    python notebooks/run.py                                 # all, in place
    python notebooks/run.py 3_uncertainty --out /tmp        # one, elsewhere

What a notebook trains is found again in checkpoint/notebooks (`notebooks.runs`); delete that folder to train anew.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = Path(__file__).resolve().parent
sys.path.insert(0, str(NOTEBOOKS.parent))  # so that `common` is found

from common.start import run_script  # isort: skip  (before all else: see there)

from common.errors import DuaError, short_reason
from common.files.writing import write_text

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
_SECONDS = 600  # that a cell may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
    parser.add_argument("notebooks", nargs="*", metavar="NAME", help=f"which (default: all): {', '.join(names)}")
    parser.add_argument("--out", default=NOTEBOOKS, type=Path, help="folder that they are saved in (default: notebooks/)")
    parser.add_argument("--working_dir", default=NOTEBOOKS, type=Path, help="where they run (default: notebooks/)")
    args = parser.parse_args()
    unknown = [name for name in args.notebooks if name not in names]
    if unknown:
        raise DuaError(f"no notebook '{unknown[0]}'; there are: {', '.join(names)}")
    for name in args.notebooks or names:
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        try:
            NotebookClient(
                notebook, timeout=_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(args.working_dir)}}
            ).execute()
        except CellExecutionError as error:
            raise DuaError(f"{name}.ipynb stops with {error.ename}: {short_reason(DuaError(error.evalue))}") from error
        clean(notebook)
        path = args.out / f"{name}.ipynb"
        write_text(path, nbformat.writes(notebook) + "\n")
        print(path)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Take out times, versions, addresses and folders, in place, so that the same results make the same file."""
    nbformat.validate(notebook)
    notebook.metadata = nbformat.from_dict(_METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.NotebookNode()
        if cell.cell_type != "code":
            continue
        outputs: list[nbformat.NotebookNode] = []
        for output in cell.outputs:
            if "text" in output:  # where the repository lies is nobody's business
                output.text = output.text.replace(f"{NOTEBOOKS.parent}/", "")
            if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
                outputs[-1].text += output.text  # one text, however it was cut into messages
                continue
            data = output.get("data", {})
            if "text/plain" in data:
                data["text/plain"] = re.sub(r" at 0x[0-9A-Fa-f]+", "", data["text/plain"])
            outputs.append(output)
        cell.outputs = outputs


if __name__ == "__main__":
    run_script(main)
