"""Lets an object be saved in a model's config by its constructor's arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np

_Function = TypeVar("_Function", bound=Callable[..., Any])
_PLAIN = (bool, int, float, str, type(None))


def serializable(cls: Any) -> Any:
    """Class decorator: registers a class with Keras, with its constructor's arguments as the config.

    Each argument must be an attribute of the same name, with a value that the constructor accepts. Arguments of a base
    class count if the constructor passes on `**kwargs`. Keras objects among the values, alone or in lists, tuples and
    dicts, are serialized too. A class that needs another config defines `get_config` itself. NumPy numbers among the
    arguments become Python numbers.

    Args:
        cls: a `keras.layers.Layer`, a `keras.Model`, or a plain class such as a loss.

    Returns:
        The class, registered as `kgen>Name`.

    Example:

    ```python
    @serializable
    class Halving(keras.layers.Layer):
        def __init__(self, times=1, **kwargs):
            super().__init__(**kwargs)
            self.times = times

    Halving(times=3).get_config()["times"]      # 3
    ```
    """
    if "__init__" in vars(cls):
        cls.__init__ = python_numbers(cls.__init__)
    if "get_config" not in vars(cls):
        cls.get_config = _get_config_of(cls)
    own = cls.__mro__[: next(i for i, base in enumerate(cls.__mro__) if base is object or _is_of_keras(base))]
    if not any("from_config" in vars(base) for base in own):
        cls.from_config = classmethod(from_arguments)
    return keras.saving.register_keras_serializable(package="kgen")(cls)


def constructor_arguments(cls: type) -> list[str]:
    """Names of the arguments of a class's constructor, including those it passes on to its kgen bases."""
    names = []
    for base in cls.__mro__:
        if base is object or _is_of_keras(base):
            break
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if not any(p.kind == p.VAR_KEYWORD for p in parameters):
            break
    return list(dict.fromkeys(names))


def arguments_of(instance: Any) -> dict[str, Any]:
    """The current values of an object's constructor arguments, by name."""
    return {name: getattr(instance, name) for name in constructor_arguments(type(instance))}


def split_arguments(cls: type, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Splits arguments by name into `(those that a class's constructor takes, the others)`."""
    own = constructor_arguments(cls)
    return {k: v for k, v in arguments.items() if k in own}, {k: v for k, v in arguments.items() if k not in own}


def _get_config_of(cls):
    def get_config(self):
        """The constructor's arguments, serialized."""
        config = getattr(super(cls, self), "get_config", dict)()
        # A subclass with its own `get_config` adds its arguments there, whatever its attributes are called.
        mro = type(self).__mro__
        written = [vars(base)["get_config"] for base in mro[: mro.index(cls)] if "get_config" in vars(base)]
        owner = type(self) if all(hasattr(each, "generated") for each in written) else cls
        arguments = [name for name in constructor_arguments(owner) if name not in config]
        return {**config, **{name: _serialized(getattr(self, name)) for name in arguments}}

    get_config.generated = True
    return get_config


def _is_of_keras(cls):
    return cls.__module__.split(".")[0] == "keras"


def from_arguments(cls: Any, config: dict[str, Any]) -> Any:
    """An object of a class, made with the arguments in its config."""
    return cls(**{name: _deserialized(name, value) for name, value in config.items()})


def _deserialized(name, value):
    # Keras would check each of thousands of names, which takes longer than building the networks.
    if _is_plain(value):
        return value
    # Gives the variables of each network in a model different paths.
    with keras.name_scope(name):
        return keras.saving.deserialize_keras_object(value)


def _serialized(value):
    if _is_plain(value):
        return list(value) if isinstance(value, (list, tuple)) else value
    return keras.saving.serialize_keras_object(value)


def _is_plain(value):
    return isinstance(value, _PLAIN) or (
        isinstance(value, (list, tuple)) and all(isinstance(each, _PLAIN) for each in value)
    )


def python_numbers(function: _Function) -> _Function:
    """Decorator: NumPy numbers among the arguments, alone or in lists and tuples, become Python numbers.

    Keras layers and JSON refuse NumPy numbers, and sums of 8-bit ones overflow.

    Example:

    ```python
    @python_numbers
    def doubled(size): return 2 * size

    doubled(np.uint8(200))      # 400
    ```
    """

    @functools.wraps(function)
    def called(*args, **kwargs):
        return function(*map(_plain, args), **{name: _plain(value) for name, value in kwargs.items()})

    # Keras asks constructors for it and does not look inside the wrapper.
    called.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return called  # type: ignore[return-value]


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value
