"""PanNuke's layout for the tests of its store: a phantom, as folders and as zips."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from histolib.data import InstanceSample
from histolib.data.phantom import write_pannuke


@pytest.fixture(scope="session")
def phantom_folders(tmp_path_factory) -> Path:
    return write_pannuke(tmp_path_factory.mktemp("phantom") / "pannuke", 5)


@pytest.fixture(scope="session")
def phantom_zips(phantom_folders, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("zips")
    for fold in (1, 2, 3):
        with zipfile.ZipFile(root / f"fold_{fold}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted((phantom_folders / f"Fold {fold}").rglob("*.npy")):
                archive.write(path, path.relative_to(phantom_folders))
    return root


@pytest.fixture(scope="session")
def same():
    """Assert that two samples agree in everything, down to the types of their arrays."""

    def compare(a: InstanceSample, b: InstanceSample) -> None:
        assert (a.patch.name, a.patch.mpp, a.tissue, a.group) == (b.patch.name, b.patch.mpp, b.tissue, b.group)
        for x, y in ((a.patch.image, b.patch.image), (a.instances, b.instances), (a.types, b.types)):
            assert (type(x), x.dtype) == (type(y), y.dtype)
            assert x.flags.writeable
            np.testing.assert_array_equal(x, y)

    return compare
