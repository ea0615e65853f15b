"""Figures of the talk must be collected with where they come from, and stand on one sheet."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from histolib.cli import main
from histolib.config import Paths
from histolib.figures import collect
from histolib.viz import contact_sheet, save_figure


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks/01_things.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "runs/quick/figures"
    for name, seed in (("01_one", 0), ("01_two", 3)):
        figure = plt.figure(figsize=(3, 2))
        save_figure(figure, name, made, about={"profile": "quick", "seed": seed}, note="quick profile")
        plt.close(figure)
    return tmp_path


def test_manifest_and_sheet_tell_where_every_figure_comes_from(checkout):
    entries = collect(checkout / "runs/quick/figures", checkout / "talk", Paths(checkout))
    assert entries == json.loads((checkout / "talk/manifest.json").read_text())
    assert [(entry["name"], entry["seed"]) for entry in entries] == [("01_one", 0), ("01_two", 3)]
    assert {entry["notebook"] for entry in entries} == {"01_things.ipynb"}
    assert all(entry["dpi"] >= 200 and entry["profile"] == "quick" and "commit" in entry for entry in entries)
    names = {path.name for path in (checkout / "talk").iterdir()}
    assert names == {
        "01_one.png", "01_one.pdf", "01_two.png", "01_two.pdf", "manifest.json", "contact_sheet.png"
    }  # fmt: skip


def test_a_folder_without_figures_is_named(checkout):
    with pytest.raises(FileNotFoundError, match="expected figures"):
        collect(checkout / "nothing", checkout / "talk", Paths(checkout))


def test_a_note_is_in_the_saved_picture_and_not_in_the_figure(tmp_path):
    figure, _ = plt.subplots(figsize=(3, 2))
    plain, _ = save_figure(figure, "plain", tmp_path)
    noted, _ = save_figure(figure, "noted", tmp_path, note="quick profile")
    assert not figure.texts
    with Image.open(plain) as one, Image.open(noted) as other:
        assert other.size[1] > one.size[1]
    plt.close(figure)


@pytest.mark.parametrize(("count", "columns", "rows"), [(0, 1, 1), (1, 1, 1), (4, 4, 1), (9, 4, 3)])
def test_a_sheet_has_a_cell_for_every_picture(count, columns, rows):
    sheet = contact_sheet([(str(i), Image.new("RGB", (100, 300), "red")) for i in range(count)], cell_px=120)
    assert sheet.size == (columns * 120, rows * (80 + 26))
    red = (np.asarray(sheet) == (255, 0, 0)).all(axis=2).sum()
    assert (red > 0) == (count > 0)


def test_the_command_collects_what_a_run_kept(checkout, capsys, monkeypatch):
    monkeypatch.setattr("histolib.figures.Paths.find", lambda: Paths(checkout))
    assert main(["figures", "--output", str(checkout / "talk")]) == 0
    assert capsys.readouterr().out.startswith("2 figures")
