"""Variable paths that say which network a variable belongs to."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras

_Function = TypeVar("_Function", bound=Callable)


def in_own_scope(make: _Function) -> _Function:
    """Decorator for a function or constructor that makes a network: variable paths begin with the network's `name`.

    Without a name they begin with that of the function or class. Keras begins paths with the name of a layer, and an
    encoder and a decoder share such names: code that selects variables by path, such as
    `keras.distribution.LayoutMap`, could not tell the networks of a model apart. Saved files contain no paths.

    Example:

    ```python
    @in_own_scope
    def network(width, name="encoder"):
        inputs = keras.Input((4,))
        return keras.Model(inputs, keras.layers.Dense(width, name="lift")(inputs), name=name)

    network(3).variables[0].path      # "encoder/lift/kernel"
    ```
    """
    signature = inspect.signature(make)

    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind_partial(*args, **kwargs)
        given.apply_defaults()
        name = {**given.arguments, **given.arguments.get("kwargs", {})}.get("name")
        with keras.name_scope(name or make.__qualname__.removesuffix(".__init__")):
            return make(*args, **kwargs)

    # Keras reads the signature of a constructor without unwrapping it.
    made.__signature__ = signature  # type: ignore[attr-defined]
    return made  # type: ignore[return-value]
