import keras
import numpy as np
import pytest

import kgen  # noqa: F401  load_model knows its classes by it
from tests.models import tiny_style


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def scaled(images):
    return images.astype("float32") / 127.5 - 1.0


@pytest.fixture(scope="module")
def trained():
    return tiny_style.trained(epochs=80)


@pytest.mark.backends
def test_stylize_any_size(trained):
    content, style = tiny_style.images(3, (22, 31)), tiny_style.stripes(3, (18, 40))
    drawn = trained.stylize(content, style)
    assert drawn.shape == content.shape and drawn.dtype == "uint8"
    one = trained.stylize(content[1], style[1])
    assert one.shape == (22, 31, 3)
    np.testing.assert_allclose(one.astype(int), drawn[1], atol=1)
    # One style for all contents, one content in all styles; floats are images too.
    np.testing.assert_allclose(trained.stylize(content, style[1])[1].astype(int), one, atol=1)
    np.testing.assert_allclose(trained.stylize(content[1], style)[1].astype(int), one, atol=1)
    np.testing.assert_allclose(trained.stylize(scaled(content[1]), scaled(style[1])).astype(int), one, atol=1)


def test_the_style_is_carried_over(trained):
    contents, red, blue = tiny_style.images(4), tiny_style.stripes()[1], tiny_style.stripes()[0]
    for style, channel in ((red, 0), (blue, 2)):
        drawn = trained.stylize(contents, style).mean(axis=(0, 1, 2))
        assert drawn.argmax() == channel
        distance = np.abs(drawn - style.mean(axis=(0, 1))).mean()
        assert distance < 0.75 * np.abs(contents.mean(axis=(0, 1, 2)) - style.mean(axis=(0, 1))).mean()


def test_strength_0_is_the_content_as_the_decoder_knows_it(trained):
    content, style = tiny_style.images(2), tiny_style.stripes(1)[0]
    none = trained.stylize(content, style, strength=0.0).astype(int)
    np.testing.assert_array_equal(none, trained.stylize(content, content[0], strength=0.0))
    half, full = (trained.stylize(content, style, strength=x).astype(int) for x in (0.5, 1.0))
    error = [np.abs(each - content).mean() for each in (none, half, full)]
    assert error[0] < error[1] < error[2]


def test_mixed_styles(trained):
    content, (red, blue) = tiny_style.images(1)[0], (tiny_style.stripes()[1], tiny_style.stripes()[0, :, :14])
    alone = [trained.stylize(content, style) for style in (red, blue)]
    np.testing.assert_array_equal(trained.stylize(content, [red, blue], weights=[3, 0]), alone[0])
    mixed = [trained.stylize(content, [red, blue], weights=w).mean(axis=(0, 1)) for w in (None, [1, 1], [9, 1])]
    np.testing.assert_array_equal(mixed[0], mixed[1])
    assert alone[0].mean(axis=(0, 1))[0] > mixed[2][0] > mixed[0][0] > alone[1].mean(axis=(0, 1))[0]


def test_preserved_colors(trained):
    content = np.tile(np.uint8([[[[150, 100, 125]]], [[[110, 120, 145]]]]), (1, 16, 16, 1))
    content[:, ::2] += 15
    drawn = trained.stylize(content, tiny_style.stripes(1)[0], preserve_color=True) / 255.0
    chroma = np.float32([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]).T
    inside = (drawn > 0).all(axis=-1) & (drawn < 1).all(axis=-1)
    assert inside.mean() > 0.2
    np.testing.assert_allclose((drawn @ chroma)[inside], (content / 255.0 @ chroma)[inside], atol=0.01)
    assert np.abs((drawn - content / 255.0) @ np.float32([0.299, 0.587, 0.114])).mean() > 0.01


def test_says_that_it_has_not_been_trained(trained, recwarn):
    with pytest.warns(UserWarning, match="StyleTransfer has not been trained: expect noise"):
        tiny_style.model().stylize(tiny_style.images(1), tiny_style.stripes(1))
    recwarn.clear()
    trained.stylize(tiny_style.images(1), tiny_style.stripes(1))
    assert not [each for each in recwarn if "trained" in str(each.message)]


@pytest.mark.backends
def test_the_range_of_one_call_is_not_that_of_the_next(trained):
    content, style = tiny_style.images(1)[0], tiny_style.stripes(1)[0]
    unit = [(each / 255.0).astype("float32") for each in (content, style)]
    before = trained.stylize(*unit)
    np.testing.assert_allclose(trained.stylize(scaled(content), scaled(style)).astype(int), before, atol=1)
    np.testing.assert_array_equal(trained.stylize(*unit), before)
    # Nor is the range of contents that of styles.
    np.testing.assert_allclose(trained.stylize(scaled(content), unit[1]).astype(int), before, atol=1)
