"""One small phantom of each data set."""

from pathlib import Path

import pytest

from histolib.data import phantom


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> dict[str, Path]:
    return phantom.write_all(tmp_path_factory.mktemp("phantoms"), per_fold=5, runs=(3, 3, 3), pairs=(1, 1), bci_px=64)
