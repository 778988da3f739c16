"""What a generator outputs: pixels, or the latents of an autoencoder."""

from kgen.spaces.choice import automatic_space, space_of
from kgen.spaces.latent_space import LatentSpace
from kgen.spaces.pixel_space import PixelSpace

__all__ = ["LatentSpace", "PixelSpace", "automatic_space", "space_of"]
