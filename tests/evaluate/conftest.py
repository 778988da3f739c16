"""Folders of images, and models that count as trained."""

import numpy as np
import pytest
from PIL import Image

from tests.metrics import measures
from tests.models import tiny, tiny_text


def save_images(folder, images, captions=None):
    """Writes images as 000.png and so on."""
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(np.squeeze(image)).save(folder / f"{i:03d}.png")
        if captions is not None:
            (folder / f"{i:03d}.txt").write_text(captions[i], encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.delenv("KGEN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kgen" / "reference"


@pytest.fixture
def real(tmp_path):
    return save_images(tmp_path / "real", measures.images(24)[0])


@pytest.fixture
def generated(tmp_path):
    return save_images(tmp_path / "generated", measures.images(24)[1][:20])


@pytest.fixture
def captioned(tmp_path):
    """16 captioned images of four colours."""
    images, captions = tiny_text.pictures(16)
    return save_images(tmp_path / "captioned", images, [texts[0] for texts in captions])


@pytest.fixture
def vae():
    model = tiny.vae()
    model.average.updates.assign(1.0)
    return model


@pytest.fixture
def text_model():
    model = tiny_text.model()
    model.average.updates.assign(1.0)
    return model
