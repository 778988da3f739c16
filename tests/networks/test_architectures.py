import inspect

import keras
import numpy as np
import pytest

from kgen.models import GAN
from kgen.networks import generator_and_discriminator
from kgen.networks.architectures import ARCHITECTURES, multiscale_discriminator, multiscale_generator
from tests.checks.networks import check_discriminator, check_generator


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 48, 3)])
def test_every_pair_fits_together(architecture, shape):
    heads = {"projection": (None, 1), "classifier": {"logits": (None, 1), "labels": (None, 5)}}
    for conditioning, outputs in heads.items():
        generator, discriminator = generator_and_discriminator(
            "T", shape, 16, 5, architecture=architecture, conditioning=conditioning
        )
        assert {name: tensor.shape for name, tensor in generator.input.items()} == {
            "latents": (None, 16),
            "pooled": (None, 5),
        }
        assert generator.output_shape == (None, *shape)
        given = discriminator.input
        assert set(given) == {"images", "pooled"} if conditioning == "projection" else given.shape == (None, *shape)
        result = discriminator.output
        assert outputs == ({n: t.shape for n, t in result.items()} if isinstance(result, dict) else result.shape)
        assert generator.name == "generator" and discriminator.name == "discriminator"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_sizes_widen(architecture):
    counts = [
        [network.count_params() for network in generator_and_discriminator(
            "T", (16, 16, 1), 8, architecture=architecture, size=size
        )]
        for size in ("small", "medium", "large")
    ]  # fmt: skip
    assert np.all(np.diff(counts, axis=0) > 0)


def test_attention_is_in_both():
    for architecture in set(ARCHITECTURES) - {"perceptron"}:
        for network in generator_and_discriminator(
            "T", (16, 16, 1), 8, architecture=architecture, attention_resolutions=(4,)
        ):
            assert any("Attention" in type(layer).__name__ or "Transformer" in type(layer).__name__
                       for layer in network.layers), (architecture, network.name)  # fmt: skip


def test_auto_looks_at_the_shape():
    large = generator_and_discriminator("T", (28, 28, 1), 8)[1]
    assert [layer.filters for layer in large.layers if isinstance(layer, keras.layers.Conv2D)] == [64, 128]
    small = generator_and_discriminator("T", (8, 8, 1), 8)[1]
    assert [layer.units for layer in small.layers if hasattr(layer, "units")] == [1024, 512, 256, 1]


def test_multiscale_generator():
    check_generator(multiscale_generator, (8, 12, 3), pooled_dim=3, filters=8, attention_resolutions=(4,))


@pytest.mark.backends
@pytest.mark.parametrize("condition", [{"pooled_dim": 3}, {"num_classes": 3}])
def test_multiscale_discriminator(condition):
    check_discriminator(multiscale_discriminator, (8, 8, 3), filters=8, attention_resolutions=(4,), **condition)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"architecture": "vit"}, "T: architecture must be one of 'auto', 'perceptron', .*'multiscale'; got 'vit'"),
        ({"size": "huge"}, "T: size must be one of 'small', 'medium', 'large'; got 'huge'"),
        ({"num_classes": 3, "conditioning": "film"}, "conditioning must be one of 'projection', 'classifier'"),
        ({"conditioning": "classifier"}, "conditioning='classifier' needs num_classes"),
        ({"architecture": "perceptron", "attention_resolutions": (7,)}, "a perceptron has no grids for attention"),
        ({"image_shape": (28, 28)}, "T: image_shape must be"),
        ({"image_shape": (36, 36, 3)}, "36x36 pixels cannot be reached by doubling"),
    ],
)
def test_refuses_what_there_is_not(settings, message):
    with pytest.raises(ValueError, match=message):
        generator_and_discriminator("T", **{"image_shape": (28, 28, 1), "latent_dim": 8, **settings})


def test_gan_passes_all_of_it_on():
    asked = set(inspect.signature(generator_and_discriminator).parameters) - {"owner", "output_activation"}
    assert asked < set(inspect.signature(GAN.from_image_shape).parameters)
    gan = GAN.from_image_shape((8, 8, 1), 6, architecture="dcgan", size="medium", attention_resolutions=(4,), seed=0)
    names = [layer.name for layer in gan.discriminator.layers]
    assert "attention_4" in names and gan.discriminator.get_layer("convolution_4").filters == 256
    with pytest.raises(ValueError, match="GAN: size must be one of"):
        GAN.from_image_shape((8, 8, 1), size=3)
