"""Distance targets of HoVer-Net: signed horizontal and vertical distances to the centre of each nucleus."""

import numpy as np

from ..metrics.instances import compact_ids


def hover_targets(instances: np.ndarray) -> np.ndarray:
    """Horizontal and vertical distance of each pixel to the centre of mass of its nucleus.

    For each nucleus and direction, distances are divided by the largest distance on the same side of the centre, so the
    outermost pixels are -1 and +1; background and nuclei one pixel wide are 0 (Graham et al. 2019, section 3.1). The
    centre of mass is exact, as in the paper; the published code rounds it, which shifts it by up to one pixel. The cost
    depends on the number of nuclear pixels, not of nuclei.

    Args:
        instances: integer ids (H, W), 0 is background.

    Returns:
        float32 (H, W, 2): x (horizontal), y (vertical), in [-1, 1].

    >>> hover_targets(np.array([[0, 7, 7, 7, 7, 7]]))[0, :, 0].tolist()
    [0.0, -1.0, -0.5, 0.0, 0.5, 1.0]
    """
    targets = np.zeros((*instances.shape, 2), np.float32)
    _, compact, area = compact_ids(instances)
    rows, columns = np.nonzero(compact)
    ids = compact[rows, columns] - 1
    for channel, position in enumerate((columns, rows)):
        offset = position - (np.bincount(ids, position, len(area)) / area)[ids]
        side = (offset > 0).astype(int)
        reach = np.zeros((2, len(area)))  # largest distance before and after the centre
        np.maximum.at(reach, (side, ids), np.abs(offset))
        reach[reach == 0] = 1
        targets[rows, columns, channel] = offset / reach[side, ids]
    return targets
