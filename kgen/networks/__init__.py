"""Generators, discriminators, encoders and decoders: Keras models composed of layers."""

from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.perceptron import perceptron_discriminator, perceptron_generator
from kgen.networks.spectrally_normalized import spectrally_normalized

__all__ = [
    "MultiscaleDecoder",
    "MultiscaleEncoder",
    "perceptron_discriminator",
    "perceptron_generator",
    "spectrally_normalized",
]
