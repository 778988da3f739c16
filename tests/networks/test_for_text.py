import pytest
from keras import ops

from kgen.losses import Gaussian
from kgen.networks import text_generator, text_networks
from kgen.networks.interface import check_generator, feed, named_input
from tests.networks import dense

DIMS = (16, 16)


@pytest.mark.parametrize("recipe", ["vae", "vae_gan", "gan"])
def test_recipes(recipe):
    reconstruction = None if recipe == "gan" else Gaussian(8.0)
    generator, encoder, discriminator = text_networks("Model", (32, 32, 3), 4, DIMS, recipe, reconstruction)
    assert (encoder is not None) == (recipe != "gan")
    assert (discriminator is not None) == (recipe != "vae")
    condition = {
        "pooled": ops.zeros((2, 16)),
        "tokens": ops.zeros((2, 3, 16)),
        "mask": ops.ones((2, 3), "bool"),
    }
    images = feed(generator, "latents", ops.zeros((2, 4)), condition, False)
    assert images.shape == (2, 32, 32, 3)
    if encoder is not None:
        assert feed(encoder, "images", images, condition, False).shape == (2, 8)
    if discriminator is not None:
        assert feed(discriminator, "images", images, condition, False).shape == (2, 1)


@pytest.mark.parametrize("latents", [False, True])
def test_larger_ones(latents):
    shape = (16, 24, 4) if latents else (32, 32, 3)
    counts = [
        text_generator(shape, 4, *DIMS, size=size, latents=latents).count_params()
        for size in ("small", "medium", "large")
    ]
    # Twice as wide each time.
    for fewer, more in zip(counts, counts[1:]):
        assert 3 * fewer < more < 4.5 * fewer
    with pytest.raises(ValueError, match="text_generator: size must be one of 'small', 'medium', 'large'; got 'huge'"):
        text_generator(shape, 4, *DIMS, size="huge", latents=latents)


@pytest.mark.parametrize("side, start", [(12, 6), (16, 8), (20, 10), (24, 6), (32, 8)])
def test_grids_of_latents(side, start):
    generator = text_generator((side, side, 4), 4, *DIMS, latents=True, condition_dim=16)
    assert generator.output_shape == (None, side, side, 4) and generator.start == start and generator.patch == 1


def test_given_networks_are_taken_as_they_are():
    made = text_networks("Model", (32, 32, 3), 4, DIMS, "vae_gan", Gaussian(8.0))
    assert all(a is b for a, b in zip(made, text_networks("Model", (32, 32, 3), 4, DIMS, "vae_gan", None, *made)))


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_sizes(side):
    assert text_generator((side, side, 3), 4, *DIMS, condition_dim=16).output_shape == (None, side, side, 3)


def test_sizes_that_cannot_be_drawn_are_told_those_that_can():
    for shape, message in (
        ((100, 100, 3), "128, 256 or 512 pixels.*; got 100x100. Scale the shorter side to 64 or 128 pixels"),
        ((28, 28, 1), "have 16, 32, 48, 64.*; got 28x28. Scale the shorter side to 16 or 32 pixels"),
        ((64, 70, 3), "longer side must be a multiple of an eighth of that; got 64x70"),
        ((64, 64), r"image_shape must be \(height, width, channels\)"),
    ):
        with pytest.raises(ValueError, match=message):
            text_networks("TextToImage", shape, 4, DIMS, "vae", None)
    for shape in ((16, 16, 3), (48, 48, 3), (96, 64, 3)):
        assert text_networks("M", shape, 4, DIMS, "vae_gan", None)[0].output_shape == (None, *shape)


@pytest.mark.parametrize(
    "shape, latents", [((32, 36, 3), False), ((48, 54, 3), False), ((12, 13, 4), True), ((15, 15, 4), True)]
)
def test_sides_that_cannot_be_halved_often(shape, latents):
    generator, encoder, discriminator = text_networks("M", shape, 4, DIMS, "vae_gan", None, latents=latents)
    assert generator.output_shape == (None, *shape)
    for network in (encoder, discriminator):
        assert named_input("M", network, "images").shape == (None, *shape)


def test_networks_that_the_recipe_does_not_have_or_that_do_not_fit():
    generator, encoder, discriminator = text_networks("Model", (32, 32, 3), 4, DIMS, "vae_gan", Gaussian(8.0))
    for recipe, given, message in (
        ("gan", {"encoder": encoder}, "Model: the recipe 'gan' has no encoder; leave it out"),
        ("vae", {"discriminator": discriminator}, "Model: the recipe 'vae' has no discriminator; leave it out"),
        ("vae", {"generator": generator, "latent_dim": 5}, "takes latents of shape"),
        ("vae", {"generator": generator, "image_shape": (16, 16, 3)}, r"must give \(16, 16, 3\); it gives \(32,"),
    ):
        arguments = {"image_shape": (32, 32, 3), "latent_dim": 4, "text_dims": DIMS, "reconstruction": None, **given}
        with pytest.raises(ValueError, match=message):
            text_networks("Model", recipe=recipe, **arguments)


@pytest.mark.parametrize("recipe", ["vae", "vae_gan", "gan"])
def test_a_generator_that_takes_no_text(recipe):
    with pytest.raises(ValueError, match="Model: the generator .* takes no text, so every prompt would draw the same"):
        text_networks("Model", dense.SHAPE, dense.LATENT_DIM, DIMS, recipe, None, dense.decoder())
    with pytest.raises(ValueError, match="'pooled' of shape"):
        check_generator("VAE", dense.decoder(), dense.LATENT_DIM, num_classes=3)


def test_unknown_recipe():
    pytest.importorskip("tensorflow_text")
    from tests.models import tiny_text

    with pytest.raises(ValueError, match="recipe must be one of 'vae', 'gan', 'vae_gan', 'imle'; got 'diffusion'"):
        tiny_text.model(recipe="diffusion")
