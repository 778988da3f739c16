"""Trained models on disk: saves, finds and loads them."""

from kgen.presets.averaged_copy import averaged_copy
from kgen.presets.hub import upload_preset
from kgen.presets.preset import is_preset, load_preset, preset_description, preset_names, save_preset

__all__ = [
    "averaged_copy",
    "is_preset",
    "load_preset",
    "preset_description",
    "preset_names",
    "save_preset",
    "upload_preset",
]
