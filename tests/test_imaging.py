"""The laws of scale, optical density, stains and tiles, and every kind of file that a scanner or a person may bring."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from histolib import imaging
from histolib.imaging import STAIN_VECTORS, Patch, map_points, read_mpp, read_patch, read_rgb, resample, windows

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "mpp", "message"),
    [
        (np.zeros((4, 4), np.uint8), 0.5, r"a: expected a uint8 RGB image .* found uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), 0.5, r"found uint8 \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), 0.5, "found float32"),
        ([[0, 0, 0]], 0.5, "found list"),
        (np.zeros((0, 4, 3), np.uint8), 0.5, "expected an image with pixels"),
        *((PIXELS, mpp, f"expected microns per pixel > 0, found {mpp}") for mpp in (0.0, -1.0, np.nan, np.inf)),
    ],
)
def test_patch_knows_its_size_and_refuses_what_is_no_image_and_no_scale(image, mpp, message):
    patch = Patch(np.zeros((100, 200, 3), np.uint8), 0.5, "a")
    assert (patch.size_um, patch.area_mm2) == ((100.0, 50.0), pytest.approx(0.005))
    with pytest.raises(ValueError, match=message):
        Patch(image, mpp, "a")


scales = st.floats(0.01, 100)


@given(arrays(float, st.tuples(st.integers(0, 5), st.just(2)), elements=st.floats(-1e4, 1e4)), scales, scales)
def test_map_points_is_undone_by_the_inverse_scale(xy, scale_x, scale_y):
    there = map_points(xy, (scale_x, scale_y))
    np.testing.assert_allclose(map_points(there, (1 / scale_x, 1 / scale_y)), xy, rtol=1e-9, atol=1e-6)


def test_map_points_keeps_borders_on_borders_and_follows_what_is_marked():
    # The edges of the first and the last pixel lie at -0.5 and width - 0.5, at every scale.
    np.testing.assert_allclose(map_points([[-0.5, 9.5], [0, 0]], 4), [[-0.5, 39.5], [1.5, 1.5]])
    assert map_points(np.zeros((0, 2)), 2).shape == (0, 2)
    image = np.zeros((60, 80), np.uint8)
    image[30:34, 50:54] = 255
    for scale in (0.5, 2.0, 3.0):
        rows, columns = np.nonzero(resample(image, scale) > 128)
        np.testing.assert_allclose(map_points([[51.5, 31.5]], scale), [[columns.mean(), rows.mean()]], atol=0.01)


def test_resampling_keeps_channels_flat_images_and_labels():
    for image in (PIXELS, PIXELS[..., :1], PIXELS[..., 0], PIXELS[:1, :1]):
        assert resample(image, 1.0) is resample(image, (1, 1)) is image
    for scale, size in ((0.01, (1, 1)), (np.float32(2), (24, 40)), ((0.5, 2), (24, 10))):
        assert resample(PIXELS, scale).shape == (*size, 3)
        assert resample(PIXELS[..., :1], scale).shape == (*size, 1)
        assert resample(PIXELS[..., 0], scale).shape == size
    assert all((resample(np.full((9, 9, 3), 77, np.uint8), scale) == 77).all() for scale in (0.4, 2.3))
    labels = RNG.choice([0, 3, 900], (20, 20)).astype(np.int32)
    assert set(np.unique(resample(labels, 1.7, nearest=True))) <= {0, 3, 900}


def test_density_falls_with_light_and_comes_back():
    levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, -1, 3)
    density = imaging.optical_density(levels)
    assert density.dtype == np.float32
    assert (np.diff(density[0, 1:, 0]) < 0).all()
    assert (density[0, 255, 0], density.max() < 2.41) == (0, True)
    assert (imaging.rgb_from_density(density) == np.maximum(levels, 1)).all(), "black reads as 1"
    density = imaging.optical_density(PIXELS)
    np.testing.assert_allclose(imaging.optical_density(PIXELS.astype(float)), density, atol=1e-6)
    assert (imaging.optical_density(np.array([[[300.0, -5.0, 255.0]]])) == [0, np.float32(np.log10(255)), 0]).all()
    np.testing.assert_allclose(imaging.summed_density(PIXELS), density.sum(-1))


@given(st.floats(0, 0.7), st.floats(0, 0.7))
def test_separate_stains_recovers_a_known_mix(first, second):
    for names in (("hematoxylin", "dab"), ("hematoxylin", "eosin"), ("eosin", "hematoxylin"), tuple(STAIN_VECTORS)):
        amounts = [first, second, 0.3][: len(names)]
        density = sum(amount * STAIN_VECTORS[name] for amount, name in zip(amounts, names, strict=True))
        found = imaging.separate_stains(imaging.rgb_from_density(np.broadcast_to(density, (2, 3, 3))), *names)
        np.testing.assert_allclose(found, np.broadcast_to(amounts, (2, 3, len(names))), atol=0.04)


@pytest.mark.parametrize("stains", [(), ("dab",), ("dab", "giemsa"), ("dab", "eosin", "hematoxylin", "dab")])
def test_separate_stains_refuses_what_it_cannot_solve(stains):
    with pytest.raises(ValueError, match="expected two or three of hematoxylin, eosin, dab, found"):
        imaging.separate_stains(PIXELS, *stains)


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(40, 200), st.integers(0, 16), st.sampled_from([1, 4, 8]))
def test_windows_keep_every_pixel_once_and_read_inside_on_the_grid(height, width, tile, margin, multiple):
    seen = np.zeros((height, width), int)
    for window in windows((height, width), tile, margin, multiple):
        seen[window.keep] += 1
        for read, keep, inside, size in zip(*window, (height, width), strict=True):
            assert 0 <= read.start < read.stop <= size
            assert read.start % multiple == 0
            assert read.stop - read.start <= tile
            assert (read.start + inside.start, read.start + inside.stop) == (keep.start, keep.stop)
            assert keep.start - read.start >= margin or read.start == 0
            assert read.stop - keep.stop >= margin or read.stop == size
    assert (seen == 1).all()


def test_windows_of_nothing_of_one_pixel_and_of_a_slide_and_margins_that_leave_nothing():
    assert list(windows((0, 10), 64, 8)) == []
    (only,) = windows((1, 1), 64, 8)
    assert only.read == only.keep == np.s_[0:1, 0:1]
    slide = windows((200_000, 100_000), 1024, 80)
    assert next(slide).keep == np.s_[0:864, 0:864], "windows come one by one"
    with pytest.raises(ValueError, match="expected a tile larger than two margins of 80 px, found 160 px"):
        list(windows((500, 500), 160, 75))


def save(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_lossless_files_come_back_as_they_were(tmp_path, suffix):
    assert (read_rgb(save(tmp_path, Image.fromarray(PIXELS), f"a.{suffix}")) == PIXELS).all()
    assert read_rgb(save(tmp_path, Image.new("RGB", (1, 1), (1, 2, 3)), f"b.{suffix}")).tolist() == [[[1, 2, 3]]]
    grey = Image.fromarray(PIXELS[..., 0])
    assert (read_rgb(save(tmp_path, grey, f"c.{suffix}")) == PIXELS[..., :1]).all()
    two_tone = read_rgb(save(tmp_path, grey.convert("1"), f"d.{suffix}"))
    assert (two_tone.shape, set(np.unique(two_tone))) == (PIXELS.shape, {0, 255})


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_composited_on_white(tmp_path, mode):
    image = Image.fromarray(PIXELS).convert(mode)
    alpha = np.full(PIXELS.shape[:2], 255, np.uint8)
    alpha[:, 5:10], alpha[:, 10:] = 0, 128
    image.putalpha(Image.fromarray(alpha))
    read = read_rgb(save(tmp_path, image, "clear.png"))
    opaque = np.array(image.convert("RGB"), int)
    assert (read[:, :5] == opaque[:, :5]).all()
    assert (read[:, 5:10] == 255).all(), "what is not there is glass, whatever colour hides below it"
    assert np.abs(read[:, 10:] - (opaque[:, 10:] + 255) / 2).max() <= 2


def test_palettes_cmyk_turned_and_many_paged_files_are_read(tmp_path):
    palette = Image.fromarray((np.arange(12) % 3).astype(np.uint8).reshape(3, 4)).convert("P")
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    read = read_rgb(save(tmp_path, palette, "palette.png", transparency=1))
    assert (read[0, :3] == [[200, 0, 0], [255, 255, 255], [0, 0, 200]]).all()
    rgb = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert read_rgb(save(tmp_path, rgb, "key.png", transparency=(1, 2, 3))).tolist() == [[[255] * 3, [4, 5, 6]]]
    cmyk = Image.new("RGB", (16, 16), (200, 120, 40)).convert("CMYK")
    assert np.abs(read_rgb(save(tmp_path, cmyk, "cmyk.jpg", quality=95)).astype(int) - (200, 120, 40)).max() <= 3
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show: pixels stay where the file stores them
    assert read_rgb(save(tmp_path, Image.fromarray(PIXELS), "turned.jpg", exif=exif)).shape == PIXELS.shape
    pages = [Image.fromarray(PIXELS), Image.new("RGB", (3, 3))]
    assert (read_rgb(save(tmp_path, pages[0], "pages.tif", save_all=True, append_images=pages[1:])) == PIXELS).all()


@pytest.mark.parametrize("name", ["rgb.png", "rgba.png", "grey.png", "rgb.tif", "grey.tif", "float.tif"])
def test_more_than_8_bits_are_refused_not_narrowed(tmp_path, name):
    path = tmp_path / name
    deep = (PIXELS.astype(np.uint16) + 1) * 200
    kinds = {"rgb": deep, "rgba": np.dstack([deep, deep[..., 0]]), "grey": deep[..., 0], "float": deep[..., 0] / 3e4}
    cv2.imwrite(str(path), kinds[path.stem].astype(np.float32 if path.stem == "float" else np.uint16))
    with pytest.raises(ValueError, match=rf"{name}: expected 8 bits a channel, found 16 or more"):
        read_rgb(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_a_file_cut_short_is_called_damaged_and_one_that_is_no_image_is_named_with_its_head(tmp_path, suffix):
    path = save(tmp_path, Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), f"cut.{suffix}")
    whole, head = path.read_bytes(), "an 8-bit image, found a file that starts with b'"
    contents = {whole[: int(share * len(whole))]: "(a whole image|an 8-bit image), found a" for share in (0.6, 0.98)}
    for content, message in (contents | dict.fromkeys((b"", b"hello", b"\x89PNG\r\n\x1a\n"), head)).items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"cut\.{suffix}: expected {message}"):
            read_rgb(path)
    assert read_mpp(path) is None


def test_missing_unreadable_and_too_large_files_are_told_apart(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no\.png: expected an image file, found nothing"):
        read_rgb(tmp_path / "no.png")
    with pytest.raises(FileNotFoundError, match="expected an image file, found a folder"):
        read_rgb(tmp_path)
    path = save(tmp_path, Image.fromarray(PIXELS), "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"large\.png: expected at most 200 pixels, found more"):
        read_rgb(path)
    assert read_mpp(path) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    assert read_rgb(path).shape == PIXELS.shape, "Pillow's warning below the limit is not the reader's"

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(imaging.Image, "open", denied)
    with pytest.raises(ValueError, match=r"large\.png: expected a file that can be read"):
        read_rgb(path)


@pytest.mark.parametrize(("name", "mpp"), [("a.png", 0.25), ("a.tif", 0.25), ("a.tif", 1.0), ("a.jpg", 0.5)])
def test_the_resolution_tag_gives_the_scale(tmp_path, name, mpp):
    path = save(tmp_path, Image.fromarray(PIXELS), name, dpi=(25_400 / mpp, 25_400 / mpp))
    assert read_mpp(path) == pytest.approx(mpp, rel=1e-3)
    patch = read_patch(path)
    assert (patch.mpp, patch.name) == (read_mpp(path), "a")
    assert read_patch(path, 0.3).mpp == 0.3, "what the reader says comes first"


@pytest.mark.parametrize("dpi", [None, (72, 72), (96, 96), (300, 300), (2400, 2400), (0, 0), (50_800, 25_400)])
def test_a_tag_that_is_no_microscopes_is_no_scale(tmp_path, dpi):
    path = save(tmp_path, Image.fromarray(PIXELS), "a.tif", **({"dpi": dpi} if dpi else {}))
    assert read_mpp(path) is None
    with pytest.raises(ValueError, match=r"a\.tif: expected a scale in microns per pixel, .* give it with --mpp"):
        read_patch(path)
