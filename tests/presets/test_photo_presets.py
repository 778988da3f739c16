"""The presets for photographs that ship, on a photograph that they were not trained on."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kgen
from kgen.models import ImageRestorer

ROOT = Path(kgen.presets.__file__).parent


def chelsea():
    return pytest.importorskip("skimage.data").chelsea()[60:188, 100:228]


def psnr(clean, other):
    return -10 * np.log10(np.mean((clean / 255.0 - other / 255.0) ** 2))


@pytest.mark.parametrize("name", ["denoise_photo", "inpaint_photo", "upscale_photo_2x"])
def test_is_small_and_says_what_it_is_made_of(name):
    assert name in kgen.presets.preset_names()
    assert sum(file.stat().st_size for file in (ROOT / name).iterdir()) < 3e6
    card = (ROOT / name / "README.md").read_text(encoding="utf-8")
    assert "CC BY" in card and "benchmarks/restoration.py" in card


def with_noise(clean):
    return np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 25, clean.shape)), 0, 255).astype("uint8")


def through_jpeg(image, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))


@pytest.mark.backends
def test_denoise_photo():
    clean = chelsea()
    noisy = with_noise(clean)
    restored = ImageRestorer.from_preset("denoise_photo").restore(noisy)
    assert psnr(clean, restored) > psnr(clean, noisy) + 8


@pytest.mark.parametrize(("quality", "gain"), [(90, 5), (75, 5), (50, 3)])
def test_denoise_photo_of_jpeg_files(quality, gain):
    clean = chelsea()
    noisy = through_jpeg(with_noise(clean), quality)
    restored = ImageRestorer.from_preset("denoise_photo").restore(noisy)
    assert psnr(clean, restored) > psnr(clean, noisy) + gain


@pytest.mark.backends
def test_upscale_photo_2x():
    clean = chelsea()
    small = Image.fromarray(clean).resize((64, 64), Image.Resampling.BICUBIC)
    bicubic = np.asarray(small.resize((128, 128), Image.Resampling.BICUBIC))
    restored = ImageRestorer.from_preset("upscale_photo_2x").restore(np.asarray(small))
    assert psnr(clean, restored) > psnr(clean, bicubic) + 0.3


def test_upscale_photo_2x_of_jpeg_files():
    data = pytest.importorskip("skimage.data")
    restorer, gains = ImageRestorer.from_preset("upscale_photo_2x"), []
    for name in ("astronaut", "chelsea", "coffee"):
        clean = getattr(data, name)()[40:296, 60:316]
        small = through_jpeg(np.asarray(Image.fromarray(clean).resize((128, 128), Image.Resampling.BICUBIC)), 60)
        bicubic = np.asarray(Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC))
        gains.append(psnr(clean, restorer.restore(small)) - psnr(clean, bicubic))
    assert np.mean(gains) > 0.3, gains


@pytest.mark.backends
def test_inpaint_photo():
    clean = chelsea()
    missing = np.random.default_rng(0).random((32, 32)).repeat(4, axis=0).repeat(4, axis=1) < 0.3
    spoiled = np.where(missing[..., None], 0, clean).astype("uint8")
    restored = ImageRestorer.from_preset("inpaint_photo").restore(spoiled, masks=missing)
    assert np.array_equal(restored[~missing], clean[~missing])
    biharmonic = pytest.importorskip("skimage.restoration").inpaint_biharmonic(spoiled, missing, channel_axis=-1)
    assert psnr(clean, restored) > psnr(clean, 255.0 * biharmonic) + 0.3


@pytest.mark.parametrize("side", [16, 64])
def test_inpaint_photo_in_wide_holes(side):
    restoration, data = pytest.importorskip("skimage.restoration"), pytest.importorskip("skimage.data")
    restorer = ImageRestorer.from_preset("inpaint_photo")
    missing = np.zeros((112, 112), bool)
    missing[56 - side // 2 : 56 + side // 2, 56 - side // 2 : 56 + side // 2] = True
    ours, theirs = [], []
    for name, top, left in (("astronaut", 100, 40), ("chelsea", 60, 200), ("coffee", 150, 250), ("rocket", 200, 300)):
        clean = getattr(data, name)()[top : top + 112, left : left + 112]
        spoiled = np.where(missing[..., None], 0, clean).astype("uint8")
        ours.append(psnr(clean, restorer.restore(spoiled, masks=missing)))
        theirs.append(psnr(clean, 255.0 * restoration.inpaint_biharmonic(spoiled, missing, channel_axis=-1).clip(0, 1)))
    assert np.mean(ours) > np.mean(theirs), (ours, theirs)


def test_grey_photographs_stay_grey():
    grey = np.asarray(Image.fromarray(chelsea()).convert("L"))
    noisy = with_noise(grey)
    denoised = ImageRestorer.from_preset("denoise_photo").restore(noisy)
    assert denoised.shape == grey.shape and psnr(grey, denoised) > psnr(grey, noisy) + 7
    small = np.asarray(Image.fromarray(grey).resize((64, 64), Image.Resampling.BICUBIC))
    bicubic = np.asarray(Image.fromarray(small).resize((128, 128), Image.Resampling.BICUBIC))
    upscaler = ImageRestorer.from_preset("upscale_photo_2x")
    assert psnr(grey, upscaler.restore(small)) > psnr(grey, bicubic) + 0.3
    larger = upscaler.restore(np.repeat(small[..., None], 3, axis=-1))
    assert np.ptp(larger, axis=-1).max() == 0
