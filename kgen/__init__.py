"""kgen: fast generative image models for Keras 3."""

import importlib

# Imported at once, for its classes to be known to `keras.models.load_model`.
from kgen import models  # noqa: F401

__version__ = "0.1.0"

_subpackages = (
    "callbacks",
    "data",
    "evaluate",
    "layers",
    "losses",
    "metrics",
    "models",
    "networks",
    "presets",
    "text",
    "training",
)
__all__ = [*_subpackages]


def __getattr__(name):
    # The others on first use.
    if name in _subpackages:
        return importlib.import_module(f"kgen.{name}")
    raise AttributeError(f"module 'kgen' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_subpackages})
