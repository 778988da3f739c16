"""Generators, discriminators, encoders and decoders: Keras models composed of layers."""

from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder

__all__ = ["MultiscaleDecoder", "MultiscaleEncoder"]
