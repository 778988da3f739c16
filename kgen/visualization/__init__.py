"""Shows images, loss curves and latents."""

from kgen.visualization.animation import save_animation
from kgen.visualization.image_grid import image_grid
from kgen.visualization.latent_images import latent_grid, latent_traversal
from kgen.visualization.plot_history import plot_history
from kgen.visualization.plot_latents import plot_latents
from kgen.visualization.save_images import save_images
from kgen.visualization.show_images import show_images

__all__ = [
    "image_grid",
    "latent_grid",
    "latent_traversal",
    "plot_history",
    "plot_latents",
    "save_animation",
    "save_images",
    "show_images",
]
