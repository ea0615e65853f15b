"""A session must find its folders, keep figures, and refuse what papermill misspelt."""

import matplotlib.pyplot as plt
import pytest

from histolib import session


def start(tmp_path, monkeypatch, **changes):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HISTOLIB_REAL_DATA", raising=False)
    return session.begin({"profile": "quick", "output_dir": "", "seed": 3, "In": [""], **changes})


def test_results_go_to_the_run_folder_or_where_they_are_told(tmp_path, monkeypatch):
    assert start(tmp_path, monkeypatch).output == tmp_path / "runs" / "quick"
    assert start(tmp_path, monkeypatch, output_dir=str(tmp_path / "drive")).output == tmp_path / "drive"


def test_a_folder_is_made_once(tmp_path, monkeypatch):
    run = start(tmp_path, monkeypatch)
    assert run.folder("a") == run.folder("a")
    assert (run.output / "a").is_dir()


def test_a_kept_figure_is_saved_twice_and_handed_back(tmp_path, monkeypatch):
    run = start(tmp_path, monkeypatch)
    figure = plt.figure()
    assert run.keep(figure, "one") is figure
    assert sorted(path.name for path in (run.output / "figures").iterdir()) == ["one.pdf", "one.png"]
    plt.close(figure)


def test_real_tiles_are_found_through_the_environment(tmp_path, monkeypatch):
    assert start(tmp_path, monkeypatch).real is None
    monkeypatch.setenv("HISTOLIB_REAL_DATA", str(tmp_path))
    assert session.begin({"profile": "quick", "output_dir": "", "seed": 0}).real == tmp_path


def test_an_unknown_profile_and_a_misspelt_parameter_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="expected one of quick, full, found 'fast'"):
        start(tmp_path, monkeypatch, profile="fast")
    with pytest.raises(ValueError, match="unknown parameter 'sead'"):
        start(tmp_path, monkeypatch, In=["", "seed = 0\n", "# Parameters\nsead = 1\n"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "expected seed to be 0 or more, found -1"),
        ({"radius_um": 0}, "expected radius_um to be a length in microns above 0, found 0"),
        ({"radius_um": float("nan")}, "above 0, found nan"),
        ({"radius_um": float("inf")}, "above 0, found inf"),
    ],
)
def test_a_value_out_of_range_is_named(tmp_path, monkeypatch, changes, message):
    with pytest.raises(ValueError, match=message):
        start(tmp_path, monkeypatch, **changes)
