"""One small phantom of each data set."""

from pathlib import Path

import pytest

from histolib.data import phantom


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> dict[str, Path]:
    return phantom.write_all(tmp_path_factory.mktemp("phantoms"), per_fold=1, runs=(1, 1), pairs=(1, 1), bci_px=64)
