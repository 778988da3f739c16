"""Trained models on disk: how they are written, found and checked."""

from kgen.presets.preset import load_preset, preset_description, preset_names, save_preset

__all__ = ["load_preset", "preset_description", "preset_names", "save_preset"]
