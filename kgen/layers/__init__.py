"""Layers for networks, post-processing and degradations: tensors in, tensors out. They know nothing about training."""

from kgen.layers.adaptive_augment import AdaptiveAugment
from kgen.layers.adaptive_instance_norm import AdaptiveInstanceNorm, channel_statistics
from kgen.layers.attention import (
    CrossAttention2D,
    PositionTable2D,
    SelfAttention2D,
    TransformerBlock2D,
    multi_head_attention,
)
from kgen.layers.bad_light import ColorCast, LowLight
from kgen.layers.blur import Blur
from kgen.layers.color_balance import ColorBalance
from kgen.layers.degradation import Degradation
from kgen.layers.diff_augment import DiffAugment
from kgen.layers.downscale import Downscale
from kgen.layers.feature_memory import FeatureMemory
from kgen.layers.fill_missing import FillMissing
from kgen.layers.gaussian_sampling import GaussianSampling
from kgen.layers.grouped_convolution import DepthwiseConvolution2D, GroupedConvolution2D
from kgen.layers.jpeg_compression import JpegCompression
from kgen.layers.latent_injection import LatentInjection2D
from kgen.layers.minibatch_standard_deviation import MinibatchStandardDeviation
from kgen.layers.modulation import Modulation
from kgen.layers.noise import GaussianNoise, PoissonNoise
from kgen.layers.pixel_shuffle import PixelShuffle
from kgen.layers.random_mask import RandomMask
from kgen.layers.residual_block import ResidualBlock2D
from kgen.layers.saturation import Saturation
from kgen.layers.sharpen import Sharpen
from kgen.layers.similarity_scale import SimilarityScale
from kgen.layers.spectral_normalization import SpectralNormalization
from kgen.layers.upscale import Upscale

__all__ = [
    "AdaptiveAugment",
    "AdaptiveInstanceNorm",
    "Blur",
    "ColorBalance",
    "ColorCast",
    "CrossAttention2D",
    "Degradation",
    "DepthwiseConvolution2D",
    "DiffAugment",
    "Downscale",
    "FeatureMemory",
    "FillMissing",
    "GaussianNoise",
    "GaussianSampling",
    "GroupedConvolution2D",
    "JpegCompression",
    "LatentInjection2D",
    "LowLight",
    "MinibatchStandardDeviation",
    "Modulation",
    "PixelShuffle",
    "PoissonNoise",
    "PositionTable2D",
    "RandomMask",
    "ResidualBlock2D",
    "Saturation",
    "SelfAttention2D",
    "Sharpen",
    "SimilarityScale",
    "SpectralNormalization",
    "TransformerBlock2D",
    "Upscale",
    "channel_statistics",
    "multi_head_attention",
]
