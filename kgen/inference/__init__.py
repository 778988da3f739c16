"""What a trained model says about images: their latents, their likelihood, the image without noise."""

from kgen.inference.denoising import posterior_mean
from kgen.inference.inversion import invert
from kgen.inference.posterior import Posterior

__all__ = ["Posterior", "invert", "posterior_mean"]
