"""Results must be JSON that anything reads, and never half a file."""

import json

import numpy as np
import pytest

from histolib.results import plain, write_results


def test_numbers_become_pythons_own_and_what_does_not_exist_is_null(tmp_path):
    given = {
        "a": np.float32(0.25),
        "b": (np.int64(3), float("nan")),
        "c": {"d": [np.float64("inf"), "text", True, None]},
    }
    expected = {"a": 0.25, "b": [3, None], "c": {"d": [None, "text", True, None]}}
    assert plain(given) == expected
    write_results(tmp_path / "new" / "results.json", given)
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == expected
    assert plain(1234567.89) == 1234570.0


def test_what_is_no_json_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "results.json"
    write_results(path, {"a": 1})
    with pytest.raises(TypeError):
        write_results(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
