"""What a person sees while a model trains."""

from kgen.callbacks.adversarial_watch import AdversarialWatch
from kgen.callbacks.animation import save_animation
from kgen.callbacks.evaluate_samples import EvaluateSamples
from kgen.callbacks.latent_pictures import latent_grid, latent_traversal
from kgen.callbacks.picture_grid import picture_grid
from kgen.callbacks.sample_grid import SampleGrid

__all__ = [
    "AdversarialWatch",
    "EvaluateSamples",
    "SampleGrid",
    "latent_grid",
    "latent_traversal",
    "picture_grid",
    "save_animation",
]
