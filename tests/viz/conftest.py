import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from histolib.imaging import Patch


@pytest.fixture(autouse=True)
def leaves_no_trace(monkeypatch: pytest.MonkeyPatch):
    """No figure is shown or left open, and the reader's settings stay."""
    mpl.use("Agg")
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("show was called"))
    plt.close("all")
    before = dict(mpl.rcParams)
    yield
    assert plt.get_fignums() == []
    assert dict(mpl.rcParams) == before


@pytest.fixture
def patch() -> Patch:
    return Patch(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8), 0.5, "p")


@pytest.fixture
def instances() -> np.ndarray:
    labels = np.zeros((40, 60), np.int32)
    labels[:6, :6], labels[10:20, 10:20], labels[35:, 50:] = 1, 2, 4  # two cut by the border, and no nucleus 3
    return labels
