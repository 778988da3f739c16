"""Generators, discriminators, encoders and decoders: Keras models composed of layers."""

from kgen.networks.architectures import generator_and_discriminator
from kgen.networks.autoencoders import encoder_and_decoder, sized_encoder
from kgen.networks.backbone import backbone_encoder, named_backbone
from kgen.networks.dcgan import dcgan_discriminator, dcgan_generator
from kgen.networks.feature_network import feature_network
from kgen.networks.for_text import (
    check_text_features,
    text_discriminator,
    text_generator,
    text_image_encoder,
    text_networks,
)
from kgen.networks.ladder_decoder import LadderDecoder
from kgen.networks.ladder_encoder import LadderEncoder
from kgen.networks.map_decoder import map_decoder
from kgen.networks.multiscale_decoder import MultiscaleDecoder
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.patch_discriminator import patch_discriminator
from kgen.networks.perceptron import perceptron_discriminator, perceptron_generator
from kgen.networks.projected_discriminator import projected_discriminator
from kgen.networks.r3gan import r3gan_discriminator, r3gan_generator
from kgen.networks.residual_encoder import residual_encoder
from kgen.networks.resnet import resnet_discriminator, resnet_generator
from kgen.networks.restoration import restoration_network
from kgen.networks.spectrally_normalized import spectrally_normalized
from kgen.networks.style_decoder import style_decoder
from kgen.networks.style_encoder import style_encoder
from kgen.networks.text_projection import TextProjection
from kgen.networks.tiny_autoencoder import read_tiny_autoencoder, tiny_decoder, tiny_encoder

__all__ = [
    "LadderDecoder",
    "LadderEncoder",
    "MultiscaleDecoder",
    "MultiscaleEncoder",
    "TextProjection",
    "backbone_encoder",
    "named_backbone",
    "check_text_features",
    "dcgan_discriminator",
    "dcgan_generator",
    "encoder_and_decoder",
    "feature_network",
    "generator_and_discriminator",
    "map_decoder",
    "patch_discriminator",
    "projected_discriminator",
    "perceptron_discriminator",
    "perceptron_generator",
    "r3gan_discriminator",
    "r3gan_generator",
    "read_tiny_autoencoder",
    "residual_encoder",
    "resnet_discriminator",
    "resnet_generator",
    "restoration_network",
    "sized_encoder",
    "spectrally_normalized",
    "style_decoder",
    "style_encoder",
    "text_discriminator",
    "text_generator",
    "text_image_encoder",
    "text_networks",
    "tiny_decoder",
    "tiny_encoder",
]
