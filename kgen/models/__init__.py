"""What a user holds: models with `fit`, and `generate`, `classify` or what else they are for."""

from kgen.models.gan import GAN
from kgen.models.text_to_image import TextToImage
from kgen.models.vae import VAE

__all__ = ["GAN", "VAE", "TextToImage"]
