"""HoVer-Net's published post-processing with its own constants, for a test and for a benchmark."""

import cv2
import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed


def published_watershed(probability: np.ndarray, hv: np.ndarray) -> np.ndarray:
    """Label map (H, W) of a probability (H, W) and distances (H, W, 2); every step works on the whole image."""

    def stretch(values: np.ndarray) -> np.ndarray:
        return cv2.normalize(values, None, alpha=0, beta=1, norm_type=cv2.NORM_MINMAX, dtype=cv2.CV_32F)

    def large(labels: np.ndarray) -> np.ndarray:
        return np.where((np.bincount(labels.ravel()) < 10)[labels], 0, labels)

    nuclear = (large(ndimage.label(probability >= 0.5)[0]) > 0).astype(np.int32)
    falls = [1 - stretch(cv2.Sobel(stretch(hv[..., i].copy()), cv2.CV_64F, 1 - i, i, ksize=21)) for i in (0, 1)]
    edges = np.maximum(np.maximum(*falls) - (1 - nuclear), 0)
    basins = -cv2.GaussianBlur((1.0 - edges) * nuclear, (3, 3), 0)
    markers = np.maximum(nuclear - (edges >= 0.4), 0)
    markers = ndimage.binary_fill_holes(markers).astype(np.uint8)
    markers = cv2.morphologyEx(markers, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    return watershed(basins, markers=large(ndimage.label(markers)[0]), mask=nuclear)
