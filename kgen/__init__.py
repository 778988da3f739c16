"""kgen: fast generative image models for Keras 3."""

import importlib

__version__ = "0.1.0"

_subpackages = ("callbacks", "data", "layers", "losses", "models", "networks", "presets", "text", "training")
__all__ = [*_subpackages]


def __getattr__(name):
    # Sub-packages are imported on first use, so that `import kgen` costs next to nothing.
    if name in _subpackages:
        return importlib.import_module(f"kgen.{name}")
    raise AttributeError(f"module 'kgen' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_subpackages])
