"""What a user holds: models with `fit`, and `generate`, `classify` or what else they are for."""

from kgen.models.cycle_gan import CycleGAN
from kgen.models.gan import GAN
from kgen.models.image_restorer import ImageRestorer
from kgen.models.style_transfer import StyleTransfer
from kgen.models.text_to_image import TextToImage
from kgen.models.vae import VAE

__all__ = ["GAN", "VAE", "CycleGAN", "ImageRestorer", "StyleTransfer", "TextToImage"]
