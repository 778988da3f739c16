import numpy as np
import pytest

from kgen.inference.style_texture import style_texture
from tests.models import tiny_style


@pytest.mark.parametrize("size", [(8, 8), (40, 33), (17, 90)])
@pytest.mark.parametrize("style_size", [(8, 9), (30, 64), (80, 70)])
def test_any_size(size, style_size):
    content, style = tiny_style.images(1, size)[0], tiny_style.images(1, style_size, seed=1)[0]
    found = style_texture(style, content)
    assert found.shape == content.shape and found.dtype == "uint8"
    np.testing.assert_array_equal(style_texture(style, content), found)
    assert found.min() >= style.min() and found.max() <= style.max()


def test_it_is_bright_where_the_content_is():
    numbers = np.random.default_rng(0)
    style = np.repeat(numbers.integers(0, 256, (96, 12, 1)), 8, axis=1).repeat(3, axis=2).astype("uint8")
    style[:48] //= 4
    content = np.full((64, 96, 3), 90, "uint8")
    content[:, 48:] = 110
    found = style_texture(style, content)
    assert found[:, 56:].mean() > 2 * found[:, :40].mean()


def test_a_flat_content_gets_the_strokes_of_the_style_and_no_others():
    stripes = np.where(np.arange(64)[:, None, None] % 8 < 4, 40, 200) * np.ones((1, 64, 3))
    found = style_texture(stripes.astype("uint8"), np.full((50, 60, 3), 128, "uint8")).astype(float)
    down, right = (np.abs(np.diff(found, axis=axis)).mean() for axis in (0, 1))
    assert down > 20 and right < 0.2 * down


def test_one_channel():
    assert style_texture(np.zeros((16, 16, 1), "uint8"), np.zeros((20, 12, 1), "uint8")).shape == (20, 12, 1)
