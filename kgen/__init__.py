"""kgen: fast generative image models for Keras 3."""

from __future__ import annotations

import importlib
import sys
from pathlib import PurePath
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kgen import (
        callbacks,
        command,
        data,
        evaluate,
        heads,
        inference,
        inputs,
        layers,
        losses,
        metrics,
        models,
        networks,
        objectives,
        presets,
        sampling,
        spaces,
        text,
        training,
        visualization,
    )

__version__ = "0.2.0"

__all__ = [
    "callbacks",
    "command",
    "data",
    "evaluate",
    "heads",
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
    # The other modules are imported on first use.
    if name in __all__:
        return importlib.import_module(f"kgen.{name}")
    raise AttributeError(f"module 'kgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _is_command() -> bool:
    # Python calls the program "-m" while it is still looking for the module.
    program = PurePath(*getattr(sys, "argv", [])[:1]).name
    return program in ("kgen", "kgen.exe") or (program == "-m" and "kgen" in sys.orig_argv)


# Imported at once, so that `keras.models.load_model` knows its classes. The command checks its options first, and
# imports Keras only when needed.
if not _is_command():
    importlib.import_module("kgen.models")
