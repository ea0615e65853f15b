"""Write the account that hosts the repository into pyproject.toml, README, CITATION.cff and the notebooks.

    python .ci/address.py OWNER

It also writes the bootstrap cell, which is the same in all notebooks, and keeps the hash of their executed code.
"""

import re
import sys
from pathlib import Path

import nbformat

from histolib.cli.run import code_hash

ADDRESS = re.compile(r"(github(?:\.com)?/)[\w.-]+(?=/histolib\b)")
BOOTSTRAP = """\
# On Colab only: fetch the course and install what is missing; torch and numpy stay as Colab brings them.
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

REPO, TAG = "OWNER/histolib", "v0.1.0"
if "google.colab" in sys.modules:
    if REPO.startswith("OWNER/"):
        raise ValueError("replace OWNER in this cell with the GitHub account that hosts the course")
    folder, kept = Path("/content/histolib"), Path("/content/kept.txt")
    if not folder.exists():
        clone = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--depth", "1", "--branch", TAG]
        subprocess.run([*clone, f"https://github.com/{REPO}", str(folder)], check=True)
    kept.write_text("".join(f"{name}=={version(name)}\\n" for name in ("numpy", "torch", "torchvision")))
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", str(kept), "-e", str(folder)], check=True)
    sys.path.insert(0, str(folder))
    %cd {folder}"""


def main(owner: str, root: Path = Path(__file__).parent.parent) -> None:
    """Write the address into every file that names it."""
    for name in ("pyproject.toml", "README.md", "CITATION.cff"):
        text = (root / name).read_text("utf-8")
        (root / name).write_text(ADDRESS.sub(rf"\g<1>{owner}", text), "utf-8")
    for file in sorted((root / "notebooks").glob("*.ipynb")):
        book = nbformat.read(file, as_version=4)
        executed = book.metadata.get("histolib", {})
        current = executed.get("executed_code") == code_hash(book)
        for cell in book.cells:
            if cell.cell_type == "markdown":
                cell.source = ADDRESS.sub(rf"\g<1>{owner}", cell.source)
        book.cells[1].source = BOOTSTRAP.replace("OWNER/histolib", f"{owner}/histolib")
        if current:
            executed["executed_code"] = code_hash(book)
        file.write_text(nbformat.writes(book).rstrip("\n") + "\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
