"""Trained models on disk: how they are written, found and checked."""

from kgen.presets.compact_weights import compact_weights
from kgen.presets.preset import load_preset, preset_names, save_preset

__all__ = ["compact_weights", "load_preset", "preset_names", "save_preset"]
