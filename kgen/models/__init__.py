"""The models: each has `fit`, and `generate`, `classify` or another method for its task."""

from kgen.models.autoencoder import Autoencoder
from kgen.models.cycle_gan import CycleGAN
from kgen.models.distillation import distill
from kgen.models.dual_encoder import DualEncoder
from kgen.models.gan import GAN
from kgen.models.image_captioner import ImageCaptioner
from kgen.models.image_classifier import ImageClassifier
from kgen.models.image_restorer import ImageRestorer
from kgen.models.image_segmenter import ImageSegmenter
from kgen.models.multi_task_model import MultiTaskModel
from kgen.models.style_transfer import StyleTransfer
from kgen.models.text_to_image import TextToImage
from kgen.models.vae import VAE

__all__ = [
    "GAN",
    "VAE",
    "Autoencoder",
    "CycleGAN",
    "DualEncoder",
    "ImageCaptioner",
    "ImageClassifier",
    "ImageRestorer",
    "ImageSegmenter",
    "MultiTaskModel",
    "StyleTransfer",
    "TextToImage",
    "distill",
]
