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
    # The others on first use.
    if name in __all__:
        return importlib.import_module(f"kgen.{name}")
    raise AttributeError(f"module 'kgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _is_command() -> bool:
    # Python calls a module's program "-m" for as long as it is looking for the module.
    program = PurePath(*getattr(sys, "argv", [])[:1]).name
    return program in ("kgen", "kgen.exe") or (program == "-m" and "kgen" in sys.orig_argv)


# At once, for its classes to be known to `keras.models.load_model`. The command says at once what is wrong with its
# options, and imports Keras when it is needed.
if not _is_command():
    importlib.import_module("kgen.models")
