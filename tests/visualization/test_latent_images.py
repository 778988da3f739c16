import keras
import numpy as np
import pytest
from keras import layers
from scipy import stats

from kgen.models import GAN
from kgen.visualization import latent_grid, latent_traversal
from tests.models import tiny


def painting(num_classes=None):
    """A GAN whose four pixels show its four latents, from -4 in black to 4 in white; a label makes all lighter."""
    latents = keras.Input((4,), name="latents")
    shown = latents / 4.0
    inputs = latents
    if num_classes:
        pooled = keras.Input((num_classes,), name="pooled")
        inputs = {"latents": latents, "pooled": pooled}
        shown = shown + 0.2 * pooled[:, 1:2]
    images = keras.Input((2, 2, 1), name="images")
    seen, judged = layers.Flatten()(images), images
    if num_classes:
        seen, judged = layers.Concatenate()([seen, pooled]), {"images": images, "pooled": pooled}
    discriminator = keras.Model(judged, layers.Dense(1)(seen))
    gan = GAN(keras.Model(inputs, layers.Reshape((2, 2, 1))(shown)), discriminator, 4, num_classes=num_classes)
    gan.average.updates.assign(1.0)
    return gan


@pytest.fixture(scope="module")
def gan():
    return painting()


def shown(grid, rows, columns, margin):
    """The latents of each image, `(rows, columns, 4)`."""
    pixels = np.asarray(grid)[..., 0] / 127.5 - 1.0
    corners = [
        [(margin + row * (2 + margin), margin + column * (2 + margin)) for column in range(columns)]
        for row in range(rows)
    ]
    return np.array([[4 * pixels[top : top + 2, left : left + 2].ravel() for top, left in row] for row in corners])


def test_a_plane_through_latents(gan):
    grid = latent_grid(gan, axes=(2, 0), steps=5, latents=[9.0, 1.0, 9.0, -2.0])
    assert grid.size == (10, 10)
    found, values = shown(grid, 5, 5, 0), stats.norm.ppf((np.arange(5) + 0.5) / 5)
    np.testing.assert_allclose(found[..., 2], np.repeat(values[:, None], 5, axis=1), atol=0.02)
    np.testing.assert_allclose(found[..., 0], np.repeat(values[None], 5, axis=0), atol=0.02)
    np.testing.assert_allclose(found[..., [1, 3]], np.broadcast_to([1.0, -2.0], (5, 5, 2)), atol=0.02)


def test_a_traversal(gan):
    found = shown(latent_traversal(gan, axes=[3, 1], steps=3, limit=2.0, latents=[0.5, 1.0, 0.0, -1.0]), 2, 3, 2)
    expected = np.tile([0.5, 1.0, 0.0, -1.0], (2, 3, 1))
    expected[0, :, 3] = expected[1, :, 1] = [-2.0, 0.0, 2.0]
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert latent_traversal(gan, scale=3).size == (2 + 9 * 8, 2 + 4 * 8)
    assert latent_traversal(gan, axes=2, steps=2).size == (2 + 2 * 4, 2 + 2 * 4)


def test_under_a_label():
    gan = painting(3)
    for label, lighter in ((0, 0.0), (1, 0.8)):
        found = shown(latent_grid(gan, label=label, steps=2), 2, 2, 0)
        np.testing.assert_allclose(found[..., 2:], lighter, atol=0.02)
        found = shown(latent_traversal(gan, axes=1, label=label, steps=2), 1, 2, 2)
        np.testing.assert_allclose(found[..., 1:], lighter, atol=0.02)


@pytest.mark.parametrize("function", [latent_grid, latent_traversal])
@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"steps": 1}, "steps must be an integer of at least 2; got 1"),
        ({"axes": (0, 4)}, r"axes must be different latents from 0 to 3; got \[0, 4\]"),
        ({"axes": (1, 1)}, r"axes must be different latents from 0 to 3; got \[1, 1\]"),
        ({"axes": ()}, "axes must be different latents"),
        ({"latents": [0.0] * 3}, r"latents must have shape \(4,\); got \(3,\)"),
        ({"label": 1}, "models with num_classes need a label, and others take none"),
    ],
)
def test_what_cannot_be_shown(gan, function, wrong, message):
    with pytest.raises(ValueError, match=f"{function.__name__}: {message}"):
        function(gan, **wrong)


def test_other_things_that_cannot_be_shown(gan):
    with pytest.raises(ValueError, match="latent_grid: axes must be two different latents; got"):
        latent_grid(gan, axes=(0, 1, 2))
    with pytest.raises(ValueError, match="latent_traversal: limit must be positive; got 0"):
        latent_traversal(gan, limit=0)
    for function in (latent_grid, latent_traversal):
        with pytest.raises(TypeError, match="the model must be a kgen GAN or VAE; got Functional"):
            function(tiny.decoder())
