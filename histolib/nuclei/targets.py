"""What HoVer-Net learns to draw: for every pixel of a nucleus, how far it is from the nucleus' centre."""

from __future__ import annotations

import numpy as np

from ..metrics.overlaps import compact_ids


def hover_targets(instances: np.ndarray) -> np.ndarray:
    """Horizontal and vertical distance of every pixel to its nucleus' centre of mass.

    Per nucleus and direction, distances are divided by the largest on their own side of the centre, so the outermost
    pixels are -1 and +1; a nucleus one pixel wide is 0 there, and so is background (Graham et al. 2019, section 3.1).
    The centre is the exact centre of mass, as in the paper; the published code rounds it and is one pixel off.
    The work is done on the pixels of nuclei alone, however many there are.

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
        reach = np.zeros((2, len(area)))  # of the farthest pixel before the centre, and after it
        np.maximum.at(reach, (side, ids), np.abs(offset))
        reach[reach == 0] = 1
        targets[rows, columns, channel] = offset / reach[side, ids]
    return targets
