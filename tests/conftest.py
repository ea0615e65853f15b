"""The folder of real data sets, and weights of random networks that several rooms use."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two processes of tests share two cores


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets; a test that asks for it is skipped where there is none."""
    if "HISTOLIB_REAL_DATA" not in os.environ:
        pytest.skip("HISTOLIB_REAL_DATA is not set")
    return Path(os.environ["HISTOLIB_REAL_DATA"])


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory) -> dict[str, Path]:
    """One small phantom of each data set: 3 patches per fold, 9 tiles in three runs, 1 and 3 pairs."""
    from histolib.data import phantom

    return phantom.write_all(tmp_path_factory.mktemp("phantoms"), per_fold=3, runs=(3, 3, 3), pairs=(1, 3), bci_px=128)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """Random networks with known training data, and references of a phantom slide."""
    import torch

    from histolib.data import phantom
    from histolib.io import Provenance
    from histolib.nuclei import HoVerNet
    from histolib.translation import Generator, StainReference

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    net, generator = HoVerNet("fast", 3, 1 / 16), Generator(4, 1)
    net.mpp, net.types, net.provenance = 0.5, ("round", "odd"), Provenance("pannuke: fold1", ("fold1",))
    generator.mpp, generator.direction, generator.provenance = 0.5, "ihc_to_he", Provenance("tiles", ("1-3",))
    net.save(folder / "hovernet.safetensors")
    generator.save(folder / "ihc_to_he.safetensors")
    pair = phantom.draw(0, 256, slide=7)
    StainReference.fit([pair.he], "he").save(folder / "he_reference.safetensors")
    StainReference.fit([pair.ihc], "ihc").save(folder / "ihc_reference.safetensors")
    return folder
