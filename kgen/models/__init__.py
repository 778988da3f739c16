"""What a user holds: models with `fit` and `generate`."""

from kgen.models.distillation import distill
from kgen.models.dual_encoder import DualEncoder
from kgen.models.gan import GAN
from kgen.models.generative_model import GenerativeModel
from kgen.models.text_to_image import TextToImage
from kgen.models.vae import VAE

__all__ = ["GAN", "VAE", "DualEncoder", "GenerativeModel", "TextToImage", "distill"]
