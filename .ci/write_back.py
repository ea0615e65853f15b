"""Write the outputs of executed notebooks back into the checkout, without stderr and views of widgets.

python .ci/write_back.py runs/quick/notebooks
"""

import sys
from pathlib import Path

import nbformat

from histolib.cli.run import code_hash, own_cells
from histolib.io import replacing

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def main(executed: str | Path, root: Path = Path(__file__).parent.parent) -> None:
    """Update every notebook that has an executed copy in a folder; refuse copies of other code."""
    for copy in sorted(Path(executed).glob("*.ipynb")):
        source, after = root / "notebooks" / copy.name, nbformat.read(copy, as_version=4)
        notebook = nbformat.read(source, as_version=4)
        if code_hash(after) != code_hash(notebook):
            sys.exit(f"{copy}: expected the code of {source}, found other code; run it again")
        write_back(notebook, after)
        with replacing(source) as temporary:
            temporary.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


def write_back(notebook: nbformat.NotebookNode, after: nbformat.NotebookNode) -> None:
    """Replace the outputs of a notebook by those of its executed copy."""
    profile = after.metadata["papermill"]["parameters"]["profile"]
    notebook.metadata["histolib"] = {"executed_code": code_hash(notebook), "profile": profile}
    pairs = zip(own_cells(notebook), own_cells(after), strict=True)
    code = [(cell, done) for cell, done in pairs if cell.cell_type == "code"]
    for count, (cell, done) in enumerate(code, 1):
        hidden = [item.get("name") == "stderr" or WIDGET_VIEW in item.get("data", {}) for item in done.outputs]
        cell.outputs = [item for item, hide in zip(done.outputs, hidden, strict=True) if not hide]
        for numbered in (cell, *(item for item in cell.outputs if "execution_count" in item)):
            numbered.execution_count = count


if __name__ == "__main__":
    main(sys.argv[1])
