"""Slides: every reader returns the pixels that were written, at every level and scale."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image

from histolib.ensemble.slides import find_tissue, open_slide
from histolib.imaging import resample

RNG = np.random.default_rng(0)
PIXELS = np.kron(RNG.integers(0, 256, (44, 60, 3), np.uint8), np.ones((16, 16, 1), np.uint8))[:700, :950]
LEVELS = [PIXELS, resample(PIXELS, 0.5), resample(PIXELS, 0.25)]


def write_pyramid(path, sub_pages, levels=LEVELS, mpp=0.25):
    options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib", "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as file:
        for i, level in enumerate(levels):
            extra = {"subifds": len(levels) - 1} if sub_pages and i == 0 else {"subfiletype": int(i > 0)}
            file.write(level, resolution=(1e4 / mpp / 2**i,) * 2, **options, **extra)
    return path


@pytest.mark.parametrize("sub_pages", [False, True])
def test_a_tiled_pyramid_is_read_region_by_region(tmp_path, sub_pages):
    slide = open_slide(write_pyramid(tmp_path / "a.tif", sub_pages))
    assert (slide.sizes, slide.mpp) == (((950, 700), (475, 350), (238, 175)), pytest.approx(0.25, rel=1e-4))
    for level, pixels in enumerate(LEVELS):
        rows, columns = slice(3, pixels.shape[0]), slice(100, 237)
        np.testing.assert_array_equal(slide.read(level, rows, columns), pixels[rows, columns])
    assert [slide.level_for(mpp) for mpp in (0.1, 0.25, 0.4, 0.5, 0.6, 2.0)] == [0, 0, 0, 1, 1, 2]


def test_openslide_reads_the_same_pixels(tmp_path, monkeypatch):
    pytest.importorskip("openslide")
    path = write_pyramid(tmp_path / "a.tif", False)
    expected = open_slide(path)
    monkeypatch.setattr(tifffile, "TiffFile", lambda *_: (_ for _ in ()).throw(tifffile.TiffFileError("refused")))
    slide = open_slide(path)
    assert (slide.sizes[0], slide.mpp) == (expected.sizes[0], pytest.approx(expected.mpp))
    box = slice(200, 500), slice(90, 800)
    np.testing.assert_array_equal(slide.read(0, *box), expected.read(0, *box))


@pytest.mark.parametrize(("mpp", "count"), [(0.25, 1), (1.0, 9)])
def test_tiles_of_a_plain_image_cover_every_pixel_once_and_lie_on_the_grid(tmp_path, mpp, count):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    slide, seen = open_slide(tmp_path / "a.png", mpp), np.zeros(PIXELS.shape[:2], int)
    for tile in slide.tiles(0):
        np.testing.assert_array_equal(slide.read(0, *tile.read), PIXELS[tile.read])
        seen[tile.keep] += 1
        assert all(part.start % 16 == 0 for part in (*tile.read, *tile.keep))
    assert len(slide.tiles(0)) == count
    assert (seen == 1).all()


def test_the_thumbnail_is_the_whole_slide_and_glass_is_no_tissue(tmp_path):
    pixels = np.full((2100, 3000, 3), 240, np.uint8)
    pixels[300:1200, 600:2400] = (180, 140, 160)
    for mpp in (0.25, 0.5):
        thumbnail = open_slide(write_pyramid(tmp_path / f"{mpp}.tif", False, [pixels], mpp)).thumbnail()
        assert thumbnail.image.shape == (717, 1024, 3)
        assert thumbnail.size_um == pytest.approx((3000 * mpp, 2100 * mpp), rel=2e-3)
        assert find_tissue(thumbnail.image).mean() == pytest.approx(0.9 * 1.8 / (2.1 * 3), rel=0.03)
    assert not find_tissue(np.full((50, 60, 3), 235, np.uint8)).any()


def test_scales_that_contradict_or_lack_are_told(tmp_path, caplog):
    path = write_pyramid(tmp_path / "a.tif", False)
    assert open_slide(path, 0.255).mpp == 0.255
    assert not caplog.messages
    assert open_slide(path, 0.5).mpp == 0.5
    assert "its metadata give 0.25 microns per pixel, using 0.5 as requested" in caplog.text
    Image.fromarray(PIXELS).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match=r"b\.png: expected a scale in microns per pixel.*--mpp"):
        open_slide(tmp_path / "b.png")


def test_files_that_are_no_slides_or_damaged_are_refused_in_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected an image file, found nothing"):
        open_slide(tmp_path / "gone.svs")
    (tmp_path / "a.svs").write_bytes(b"not a slide" * 10)
    with pytest.raises(ValueError, match=r"a\.svs: expected a slide that OpenSlide reads"):
        open_slide(tmp_path / "a.svs", 0.25)
    path = write_pyramid(tmp_path / "a.tif", False)
    data = bytearray(path.read_bytes())
    data[2000:60_000] = bytes(58_000)
    path.write_bytes(data)
    slide = open_slide(path)
    with pytest.raises(ValueError, match=r"a\.tif: expected a whole slide, found another or a damaged file"):
        slide.read(0, slice(0, 700), slice(0, 950))


def test_threads_read_their_own_regions(tmp_path):
    slide = open_slide(write_pyramid(tmp_path / "a.tif", False))
    boxes = [(slice(y, y + 90), slice(x, x + 90)) for y in range(0, 600, 30) for x in range(0, 800, 40)]
    with ThreadPoolExecutor(8) as pool:
        for box, region in zip(boxes, pool.map(lambda box: slide.read(0, *box), boxes), strict=True):
            np.testing.assert_array_equal(region, PIXELS[box])
