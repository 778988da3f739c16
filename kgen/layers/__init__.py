"""Building blocks of networks, and post-processing: tensors in, tensors out, knowing nothing of models or training."""

from kgen.layers.adaptive_augment import AdaptiveAugment
from kgen.layers.adaptive_instance_norm import AdaptiveInstanceNorm, channel_statistics
from kgen.layers.color_balance import ColorBalance
from kgen.layers.cross_attention import CrossAttention2D
from kgen.layers.diff_augment import DiffAugment
from kgen.layers.gaussian_sampling import GaussianSampling
from kgen.layers.grouped_convolution import GroupedConvolution2D
from kgen.layers.latent_injection import LatentInjection2D
from kgen.layers.minibatch_standard_deviation import MinibatchStandardDeviation
from kgen.layers.modulation import Modulation
from kgen.layers.multi_head_attention import multi_head_attention
from kgen.layers.pixel_shuffle import PixelShuffle
from kgen.layers.position_table import PositionTable2D
from kgen.layers.residual_block import ResidualBlock2D
from kgen.layers.saturation import Saturation
from kgen.layers.self_attention import SelfAttention2D
from kgen.layers.sharpen import Sharpen
from kgen.layers.similarity_scale import SimilarityScale
from kgen.layers.spectral_normalization import SpectralNormalization
from kgen.layers.transformer_block import TransformerBlock2D
from kgen.layers.upscale import Upscale

__all__ = [
    "AdaptiveAugment",
    "AdaptiveInstanceNorm",
    "ColorBalance",
    "CrossAttention2D",
    "DiffAugment",
    "GaussianSampling",
    "GroupedConvolution2D",
    "LatentInjection2D",
    "MinibatchStandardDeviation",
    "Modulation",
    "PixelShuffle",
    "PositionTable2D",
    "ResidualBlock2D",
    "Saturation",
    "SelfAttention2D",
    "SimilarityScale",
    "Sharpen",
    "SpectralNormalization",
    "TransformerBlock2D",
    "Upscale",
    "channel_statistics",
    "multi_head_attention",
]
