"""What a trained model says of images: their latents, how likely they are, what they were without noise."""

from kgen.inference.denoising import posterior_mean
from kgen.inference.inversion import invert
from kgen.inference.posterior import Posterior

__all__ = ["Posterior", "invert", "posterior_mean"]
