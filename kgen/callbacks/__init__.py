"""Callbacks that watch, measure and keep a model while it trains."""

from kgen.callbacks.adversarial_watch import AdversarialWatch
from kgen.callbacks.evaluate_samples import EvaluateSamples
from kgen.callbacks.run_backup import RunBackup
from kgen.callbacks.sample_grid import SampleGrid

__all__ = ["AdversarialWatch", "EvaluateSamples", "RunBackup", "SampleGrid"]
