"""What a generator's numbers are: pixels, or the latents of an autoencoder."""

from kgen.spaces.latent_space import LatentSpace
from kgen.spaces.pixel_space import PixelSpace, space_of

__all__ = ["LatentSpace", "PixelSpace", "space_of"]
