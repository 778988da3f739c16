"""A trained text-to-image model with another text encoder."""

from __future__ import annotations

import os
import warnings
from typing import Any

import keras

from kgen import networks
from kgen.presets import preset_description
from kgen.sampling.text_prior import TextPrior
from kgen.serializable import arguments_of
from kgen.text import EncoderByScript, TextEncoder
from kgen.text.text_models import installed_model
from kgen.training import network_copy


def with_text_encoder(model: Any, text_encoder: Any) -> Any:
    """A copy of a `TextToImage` with another text encoder; see `TextToImage.with_text_encoder`."""
    encoder, own = TextEncoder.of(text_encoder), model.text_encoder
    reads_tokens = isinstance(model.sampler.prior, TextPrior)
    networks.check_text_features("TextToImage.with_text_encoder", model.generator, own, encoder, reads_tokens)
    memory, codes, reconstruction = model.memory, model.codes, model.reconstruction
    names = None if memory is None else memory.names
    arguments = {**arguments_of(model), "text_encoder": encoder, "sequence_length": None}
    arguments["memory"] = None if names else memory
    arguments["codes"] = None if codes is None else (codes.words, codes.values)
    for name in ("generator", "encoder", "discriminator"):
        arguments[name] = None if arguments[name] is None else network_copy(arguments[name])
    shared = ["average", "standardize_pooled"] + ["standardize_tokens"] * (encoder.token_dim == own.token_dim)
    shared += ["codes"] * (codes is not None)
    if isinstance(reconstruction, keras.layers.Layer):
        arguments["reconstruction"] = type(reconstruction).from_config(reconstruction.get_config())
        shared.append("reconstruction")
    copy = type(model)(**arguments)
    for name in shared:
        getattr(copy, name).set_weights(getattr(model, name).get_weights())
    if not copy.sampler.learns_prior:
        copy.sampler.prior = model.sampler.prior
    copy.image_input.float_range = model.image_input.float_range
    if names:
        copy.remember(names, sharpness=memory.sharpness)
        copy.memory.stands_for = memory.stands_for
    return copy


def with_larger_encoder(model: Any, preset: str | os.PathLike) -> Any:
    """The model of a preset, with the larger encoder that the preset names for texts in Latin script.

    The model stays as it is if the preset names no encoder or it is not installed; or, with a warning, if it cannot be
    loaded.
    """
    larger = installed_model(preset_description(preset).get("remarks", {}).get("latin_text_encoder"))
    if not larger:
        return model
    try:
        return with_text_encoder(model, EncoderByScript(TextEncoder.of(larger), model.text_encoder))
    except ImportError as error:
        warnings.warn(f"TextToImage.from_preset: the preset's own text encoder is used instead. {error}", stacklevel=3)
        return model
