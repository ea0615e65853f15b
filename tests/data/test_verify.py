"""Verification counts readable samples and tells repaired defects from errors."""

import numpy as np

from histolib.data.verify import verify


def test_a_sound_data_set_has_no_problems_and_a_folder_that_cannot_be_opened_is_one(phantoms):
    for name, samples in (("bci", 4), ("pannuke", 9), ("endonuke", 9)):
        result = verify(name, phantoms[name], progress=False)
        assert (result.samples, result.problems, result.warnings) == (samples, (), ())
        assert (result.nuclei > 50) == (name != "bci")
    for name in ("bci", "pannuke", "endonuke", "consep"):
        result = verify(name, phantoms["bci"] / "nowhere", progress=False)
        assert (result.samples, len(result.problems)) == (0, 1)
        assert "nowhere: expected a folder" in result.problems[0]


def test_pannuke_is_read_to_its_last_row_and_logs_are_collected(tmp_path, capsys):
    fold = tmp_path / "Fold 2"
    for kind, channels in (("images", 3), ("masks", 6)):
        (fold / kind / "fold2").mkdir(parents=True)
        array = np.zeros((2, 256, 256, channels))
        array[0, :3, :3, 0] = array[0, 0, 0, 1] = array[0, 0, 0, 2] = 1
        array[1, 0, 0, 0] = -1
        np.save(fold / kind / "fold2" / f"{kind}.npy", array)
    np.save(fold / "images" / "fold2" / "types.npy", np.array(["Breast", "Skin"]))
    result = verify("pannuke", tmp_path, progress=False)
    assert (result.samples, result.nuclei) == (1, 2)
    assert "images.npy: expected 0 to 255 in row 1" in result.problems[0]
    assert "in row 0, 1 nuclei are hidden by nuclei of other types" in result.warnings[0]
    assert capsys.readouterr() == ("", "")
