"""kgen: fast generative image models for Keras 3."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

# Imported at once, for its classes to be known to `keras.models.load_model`.
from kgen import models

if TYPE_CHECKING:
    from kgen import (
        callbacks,
        data,
        evaluate,
        inference,
        inputs,
        layers,
        losses,
        metrics,
        networks,
        objectives,
        presets,
        sampling,
        spaces,
        text,
        training,
        visualization,
    )

__version__ = "0.1.0"

__all__ = [
    "callbacks",
    "data",
    "evaluate",
    "inference",
    "inputs",
    "layers",
    "losses",
    "metrics",
    "models",
    "networks",
    "objectives",
    "presets",
    "sampling",
    "spaces",
    "text",
    "training",
    "visualization",
]


def __getattr__(name: str) -> ModuleType:
    # The others on first use.
    if name in __all__:
        return importlib.import_module(f"kgen.{name}")
    raise AttributeError(f"module 'kgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
