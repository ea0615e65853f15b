"""The table of sources: complete, usable, and frank about what is not published."""

import dataclasses
from urllib.parse import urlsplit

import pytest

from histolib.data import sources


def test_every_source_says_what_it_is_where_it_lives_and_what_is_allowed():
    known = sources()
    assert list(known) == ["bci", "pannuke", "endonuke", "consep", "hovernet-pannuke", "resnetv2-50"]
    for name, source in known.items():
        assert source.name == name
        assert source.kind in ("data", "weights")
        assert all((source.what, source.licence, source.citation, source.layout))
        assert all(urlsplit(url).scheme == "https" for url in (source.home, *source.urls))
        assert source.urls or source.by_hand, "there is a way to get it"
        for facts in (source.bytes, source.checksum):
            assert facts is None or len(facts) == len(source.urls)


def test_facts_that_measurements_rest_on():
    known = sources()
    assert {name: source.mpp for name, source in known.items() if source.kind == "data"} == {
        "bci": 0.46, "pannuke": 0.25, "endonuke": None, "consep": 0.25
    }  # fmt: skip
    assert [url.rsplit("/", 1)[1] for url in known["pannuke"].urls] == ["fold_1.zip", "fold_2.zip", "fold_3.zip"]
    assert "leaked" in known["hovernet-pannuke"].what
    assert [url.rsplit("/", 1)[1] for url in known["resnetv2-50"].urls] == ["model.safetensors"]


def test_steps_by_hand_name_the_places_below_the_root(tmp_path):
    steps = sources()["bci"].steps(tmp_path)
    assert str(tmp_path / "bci.zip") in " ".join(steps)
    assert not any("{folder}" in step or "{archive}" in step for s in sources().values() for step in s.steps(tmp_path))
    assert "{0, 256, 512}" in " ".join(sources()["consep"].steps(tmp_path)), "other braces stay"
    assert sources()["endonuke"].steps(tmp_path) == []


def test_a_source_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        sources()["bci"].licence = "free"
