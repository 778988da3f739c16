"""Callbacks that watch, measure and save a model while it trains."""

from kgen.callbacks.adversarial_watch import AdversarialWatch
from kgen.callbacks.evaluate_samples import EvaluateSamples
from kgen.callbacks.sample_grid import SampleGrid
from kgen.training.backup import Backup

__all__ = ["AdversarialWatch", "Backup", "EvaluateSamples", "SampleGrid"]
