"""Verification counts readable samples and collects errors; readers log what they repair."""

import numpy as np

from histolib.data.verify import verify


def test_a_sound_data_set_has_no_problems_and_a_folder_that_cannot_be_opened_is_one(phantoms):
    for name, expected in (("bci", 4), ("pannuke", 9), ("endonuke", 9)):
        samples, nuclei, problems = verify(name, phantoms[name], progress=False)
        assert (samples, problems) == (expected, [])
        assert (nuclei > 50) == (name != "bci")
    for name in ("bci", "pannuke", "endonuke", "consep"):
        samples, _, (problem,) = verify(name, phantoms["bci"] / "nowhere", progress=False)
        assert samples == 0
        assert "nowhere: expected a folder" in problem


def test_pannuke_is_read_to_its_last_row(tmp_path, caplog):
    fold = tmp_path / "Fold 2"
    for kind, channels in (("images", 3), ("masks", 6)):
        (fold / kind / "fold2").mkdir(parents=True)
        array = np.zeros((2, 256, 256, channels))
        array[0, :3, :3, 0] = array[0, 0, 0, 1] = array[0, 0, 0, 2] = 1
        array[1, 0, 0, 0] = -1
        np.save(fold / kind / "fold2" / f"{kind}.npy", array)
    np.save(fold / "images" / "fold2" / "types.npy", np.array(["Breast", "Skin"]))
    samples, nuclei, problems = verify("pannuke", tmp_path, progress=False)
    assert (samples, nuclei) == (1, 2)
    assert "images.npy: expected 0 to 255 in row 1" in problems[0]
    assert "in row 0, 1 nuclei are hidden by nuclei of other types" in caplog.messages[0]
