"""How a model learns: phases with an optimizer each, moving averages, seeds, and gradients on every backend."""

from kgen.training.adaptive_probability import AdaptiveProbability
from kgen.training.layout_map import layout_map
from kgen.training.moving_average import MovingAverage, network_copy
from kgen.training.phase_optimizer import Phase, PhaseOptimizer
from kgen.training.phased_model import PhasedModel
from kgen.training.seeds import SeedGenerator, image_noise

__all__ = [
    "AdaptiveProbability",
    "MovingAverage",
    "Phase",
    "PhaseOptimizer",
    "PhasedModel",
    "SeedGenerator",
    "image_noise",
    "layout_map",
    "network_copy",
]
