"""Profiles, settings, folders and checked parameters."""

import math
from dataclasses import asdict, replace

import pytest

from histolib.config import PROFILES, Paths, changed, check_parameters, parse_assignments, profile


def test_profiles_are_found_and_settings_change_by_assignments():
    quick, full = profile("quick"), profile("full")
    assert all(name == each.name for name, each in PROFILES.items())
    assert full.hovernet.steps > quick.hovernet.steps
    assert full.cyclegan.steps > quick.cyclegan.steps > quick.cyclegan.warm_steps
    with pytest.raises(ValueError, match="expected one of quick, full, pretrained, found 'fast'"):
        profile("fast")
    settings = PROFILES["quick"].cyclegan
    expected = replace(settings, freeze=("encoder", "blocks"), width=8, cycle=2)
    assert changed(settings, ["freeze=encoder,blocks", "width=8", "cycle=2"]) == expected
    with pytest.raises(ValueError, match=r"expected shares that sum to at most 1, found 0.6 \+ 0.6"):
        replace(PROFILES["quick"].hovernet, painted=0.6, recoloured=0.6)
    known = {"data_dir": "", "seed": 0}
    assert parse_assignments(["data_dir=2024", "seed=3", "seed=4"], known) == {"data_dir": "2024", "seed": 4}


def test_the_checkout_is_found_from_inside_it_else_the_folder_itself_is_the_root(tmp_path, monkeypatch):
    checkout, below = tmp_path / "checkout", tmp_path / "checkout" / "a" / "b"
    below.mkdir(parents=True)
    (checkout / "notebooks").mkdir()
    (checkout / "pyproject.toml").touch()
    monkeypatch.delenv("HISTOLIB_ROOT", raising=False)
    monkeypatch.chdir(below)
    paths = Paths.find()
    assert paths.root == checkout.resolve()
    assert (paths.data, paths.figures, paths.runs) == tuple(paths.root / name for name in ("data", "figures", "runs"))
    monkeypatch.setenv("HISTOLIB_ROOT", str(tmp_path / "drive"))
    assert Paths.find().root == (tmp_path / "drive").resolve()


@pytest.mark.parametrize("settings", [PROFILES["quick"].cyclegan, PROFILES["quick"].hovernet])
@pytest.mark.parametrize("bad", [-2, math.nan])
def test_every_number_has_a_checked_range(settings, bad):
    for name in (name for name, value in asdict(settings).items() if not isinstance(value, bool | str | tuple)):
        with pytest.raises(ValueError, match=rf"^{name}: expected .* found {bad}"):
            replace(settings, **{name: bad})


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("cyclegan", "width=-1", "width: expected 1 to 4096, found -1"),
        ("cyclegan", "marker=ER", "marker: expected one of nuclear, membrane, cytoplasm, found 'ER'"),
        ("cyclegan", "freeze=encoder,blocks,decoder", "freeze: expected at most two of"),
        ("cyclegan", "freeze=head", "freeze: expected at most two of"),
        ("cyclegan", "widht=3", "--set: unknown parameter 'widht'"),
        ("cyclegan", "on_od=1", "--set: expected on_od to be bool"),
        ("cyclegan", "width", "--set: expected NAME=VALUE, found 'width'"),
        ("hovernet", "painted=0.9,recoloured=0.2", "--set: expected painted to be float"),
        ("hovernet", "steps=many", "--set: expected steps to be int"),
        ("hovernet", "painted=1.5", "painted: expected 0 to 1, found 1.5"),
    ],
)
def test_a_bad_setting_is_refused_by_name(kind, text, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        changed(getattr(PROFILES["quick"], kind), [text])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": 1}, "nb: unknown parameter 'sed', expected seed, radius_um"),
        ({"seed": 1.5}, r"nb: expected seed to be int \(as 0\), found float 1.5"),
        ({"seed": True}, "nb: expected seed to be int"),
        ({"seed": -1}, "nb: expected seed to be 0 or more, found -1"),
        ({"radius_um": 0}, "nb: expected radius_um to be a positive length in microns, found 0"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        check_parameters(given, {"seed": 0, "radius_um": 3.0}, "nb")
