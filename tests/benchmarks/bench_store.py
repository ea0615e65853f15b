"""Cost of preparing a fold of PanNuke, compared with loading it whole: `python tests/benchmarks/bench_store.py`.

The fold has the published layout and repeats a few phantom patches. Each way runs in its own process, whose anonymous
memory is read from /proc every few milliseconds. Reading is timed afterwards.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from common import options, seconds

from histolib.data import PanNuke
from histolib.data.phantom import write_pannuke

DRAWN = 24
OURS = "from histolib.data.pannuke import prepare_pannuke; prepare_pannuke(sys.argv[1])"
AT_ONCE = """
import zipfile
from pathlib import Path
import numpy as np
from histolib.data.pannuke import merge_channels
root, names = Path(sys.argv[1]), ("Fold 1/images/fold1/images.npy", "Fold 1/masks/fold1/masks.npy")
if (root / "fold_1.zip").is_file():
    archive = zipfile.ZipFile(root / "fold_1.zip")
    images, masks = (np.load(archive.open(name)) for name in names)
else:
    images, masks = (np.load(root / name) for name in names)
merged = [merge_channels(row[..., :5]) for row in masks]
np.savez(root / "rival.npz", images=np.rint(images).astype(np.uint8),
         instances=np.stack([ids for ids, *_ in merged]).astype(np.uint16),
         types=np.concatenate([types for _, types, _ in merged]))
"""


def write_fold(root: Path, count: int, zipped: bool, seed: int = 0) -> None:
    """Write a fold of `count` patches, row by row, by repeating those of a small phantom."""
    write_pannuke(root / "drawn", DRAWN, seed)
    for name in ("images/fold1/images.npy", "masks/fold1/masks.npy", "images/fold1/types.npy"):
        path, rows = root / "Fold 1" / name, np.load(root / "drawn/Fold 1" / name, mmap_mode="r")
        path.parent.mkdir(parents=True, exist_ok=True)
        copy = np.lib.format.open_memmap(path, "w+", rows.dtype, (count, *rows.shape[1:]))
        for index in range(count):
            copy[index] = rows[index % DRAWN]
        copy.flush()
    shutil.rmtree(root / "drawn")
    if zipped:
        shutil.make_archive(str(root / "fold_1"), "zip", root, "Fold 1")
        shutil.rmtree(root / "Fold 1")


def measure(script: str, root: Path) -> tuple[float, float]:
    """Seconds of the whole process, and its largest anonymous memory in MB."""
    start, most = time.perf_counter(), 0
    command = [sys.executable, "-c", "import sys\n" + script, str(root)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text())
            most = max(most, int(found[1]) if found else 0)
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(process.stderr.read())
    return seconds, most * 1024 / 1e6


def milliseconds(root: Path, count: int) -> float:
    """Median of reading one sample of 200 in random order."""
    patches, indices = PanNuke(root), np.random.default_rng(0).integers(0, count, 200)
    works = [lambda index=index: patches[int(index)] for index in indices]
    return 1e3 * median(seconds(*works, clock=time.perf_counter))


def main() -> None:
    args = options(__doc__, images=500, no_rival=False)  # a whole fold loaded at once takes 14 GB
    for form in ("folder", "zip"):
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            write_fold(root, args.images, form == "zip")
            for way, script in (("row by row", OURS), ("at once", AT_ONCE))[: 1 if args.no_rival else 2]:
                cost, memory = measure(script, root)
                print(f"{args.images:,} patches, {form}, {way}: {cost:.1f} s, {memory:.0f} MB of anonymous memory")
            size = sum(path.stat().st_size for path in root.rglob("compact/*/*"))
            print(f"the store: {size / 1e6:.0f} MB; a row in any order {milliseconds(root, args.images):.2f} ms")
            if form == "folder":
                (root / "compact").rename(root / "away")
                print(f"a row of the published folder {milliseconds(root, args.images):.2f} ms", flush=True)


if __name__ == "__main__":
    main()
