"""A command that is refused."""

import pytest

from histolib.cli.main import main


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
