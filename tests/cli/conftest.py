"""A command that is refused, and a phantom of one tile each."""

from pathlib import Path

import pytest

from histolib.cli.main import main
from histolib.data import phantom


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> dict[str, Path]:
    return phantom.write_all(tmp_path_factory.mktemp("phantoms"), per_fold=3, runs=(3, 3, 3), pairs=(1, 3), bci_px=128)


@pytest.fixture
def refused(capsys):
    """The one line on standard error of a command that ends with exit code 2 and prints nothing else."""

    def run(*argv: object) -> str:
        capsys.readouterr()
        try:
            code = main(list(map(str, argv)))
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("histolib")
        return err

    return run
