"""The presets for photographs that ship, on a photograph that they were not trained on."""

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


@pytest.mark.backends
def test_denoise_photo():
    clean = chelsea()
    noisy = np.clip(np.rint(clean + np.random.default_rng(0).normal(0, 25, clean.shape)), 0, 255).astype("uint8")
    restored = ImageRestorer.from_preset("denoise_photo").restore(noisy)
    assert psnr(clean, restored) > psnr(clean, noisy) + 8


@pytest.mark.backends
def test_upscale_photo_2x():
    clean = chelsea()
    small = Image.fromarray(clean).resize((64, 64), Image.Resampling.BICUBIC)
    bicubic = np.asarray(small.resize((128, 128), Image.Resampling.BICUBIC))
    restored = ImageRestorer.from_preset("upscale_photo_2x").restore(np.asarray(small))
    assert psnr(clean, restored) > psnr(clean, bicubic) + 0.3


@pytest.mark.backends
def test_inpaint_photo():
    clean = chelsea()
    missing = np.random.default_rng(0).random((32, 32)).repeat(4, axis=0).repeat(4, axis=1) < 0.3
    spoiled = np.where(missing[..., None], 0, clean).astype("uint8")
    restored = ImageRestorer.from_preset("inpaint_photo").restore(spoiled, masks=missing)
    assert np.array_equal(restored[~missing], clean[~missing])
    biharmonic = pytest.importorskip("skimage.restoration").inpaint_biharmonic(spoiled, missing, channel_axis=-1)
    assert psnr(clean, restored) > psnr(clean, 255.0 * biharmonic) + 0.3
