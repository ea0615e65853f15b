"""Write the outputs of a run of the course back into its notebooks, without stderr and views of widgets.

python .ci/write_back.py runs/quick
"""

import json
import sys
from pathlib import Path

import nbformat

from histolib.cli.run import code_hash, own_cells
from histolib.io import replacing

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def main(run: str | Path, root: Path = Path(__file__).parent.parent) -> None:
    """Update every notebook of a run; refuse copies that failed or have other code."""
    summary = json.loads(Path(run, "summary.json").read_text("utf-8"))
    for entry in summary["notebooks"]:
        copy, source = Path(run, "notebooks", entry["name"]), root / "notebooks" / entry["name"]
        executed, notebook = (nbformat.read(file, as_version=4) for file in (copy, source))
        if entry["status"] != "done" or code_hash(executed) != code_hash(notebook):
            sys.exit(f"{copy}: expected a finished run of the code of {source}, found another; run it again")
        write_back(notebook, executed)
        notebook.metadata["histolib"] = {"executed_code": code_hash(notebook), "profile": summary["profile"]}
        with replacing(source) as temporary:
            temporary.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


def write_back(notebook: nbformat.NotebookNode, executed: nbformat.NotebookNode) -> None:
    """Replace the outputs of a notebook by those of its executed copy."""
    pairs = zip(own_cells(notebook), own_cells(executed), strict=True)
    code = [(cell, after) for cell, after in pairs if cell.cell_type == "code"]
    for count, (cell, after) in enumerate(code, 1):
        hidden = [item.get("name") == "stderr" or WIDGET_VIEW in item.get("data", {}) for item in after.outputs]
        cell.outputs = [item for item, hide in zip(after.outputs, hidden, strict=True) if not hide]
        for numbered in (cell, *(item for item in cell.outputs if "execution_count" in item)):
            numbered.execution_count = count


if __name__ == "__main__":
    main(sys.argv[1])
