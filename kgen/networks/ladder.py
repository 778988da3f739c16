"""Inference with an encoder and a decoder, whose latents are one vector or a hierarchy of levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import ops

from kgen.networks.interface import feed
from kgen.networks.ladder_decoder import LadderDecoder
from kgen.networks.ladder_encoder import LadderEncoder
from kgen.types import Tensor

_LOG_VARIANCES = (-20.0, 10.0)


def is_ladder(decoder: keras.Model) -> bool:
    """Whether a decoder has levels of latents, chosen level by level on the way down."""
    return isinstance(decoder, LadderDecoder)


def latent_dims(decoder: keras.Model, latent_dim: int) -> tuple[int, ...]:
    """Length of the latents of each level of a decoder; `(latent_dim,)` for a plain one."""
    return decoder.latent_dims if is_ladder(decoder) else (latent_dim,)


def check_posterior(owner: str, encoder: keras.Model, decoder: keras.Model, latent_dim: int) -> None:
    """Checks that an encoder gives a posterior over a decoder's latents.

    Args:
        owner: name that errors begin with.
        encoder, decoder: built networks.
        latent_dim: total length of the latents of all levels.

    Raises:
        ValueError: if the two do not fit together.
    """
    ladders = isinstance(encoder, LadderEncoder), is_ladder(decoder)
    if all(ladders):
        (dims, shapes), (others, other_shapes) = ((net.latent_dims, net.feature_shapes) for net in (encoder, decoder))
        if (dims, shapes) != (others, other_shapes):
            raise ValueError(
                f"{owner}: encoder and decoder must have the same levels. The encoder has {dims} latents and expects "
                f"features of shapes {shapes}; the decoder has {others} latents and features of shapes {other_shapes}."
            )
    elif any(ladders):
        raise ValueError(f"{owner}: a LadderEncoder and a LadderDecoder go together; only one of them was given.")
    elif encoder.output_shape != (None, 2 * latent_dim):
        raise ValueError(
            f"{owner}: the encoder must give means and log-variances, shape (batch, {2 * latent_dim}); got "
            f"{encoder.output_shape}."
        )


def infer(
    encoder: keras.Model,
    decoder: keras.Model,
    images: Tensor,
    condition: Mapping[str, Tensor],
    sample: Callable[[Tensor, Tensor], Tensor] | None,
    training: bool | None,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """Takes images through q(z|x) and the decoder, level by level if there are several.

    Args:
        encoder, decoder: two networks that pass `check_posterior`.
        images: `(batch, height, width, channels)` in [-1, 1].
        condition: other tensors by name, such as `pooled`.
        sample: function from means and log-variances of a level to its latents; None takes the means.
        training: whether the networks are in training.

    Returns:
        `(means, log-variances, latents, scales)`, float32: three tensors `(batch, latent_dim)` with all levels side by
        side, and a list of the decoder's outputs, coarse to fine.
    """
    encoded, levels = feed(encoder, "images", images, condition, training), []
    encoded = encoded if isinstance(encoded, (list, tuple)) else [encoded]

    def latents_of(level: int, features: Tensor | None) -> Tensor:
        moments = encoder.posterior(level, encoded[level], features, training) if level else encoded[0]
        mean, log_variance = ops.split(ops.cast(moments, "float32"), 2, axis=-1)
        # An image unlike any other can throw the encoder far off; its variance must not overflow the loss.
        log_variance = ops.clip(log_variance, *_LOG_VARIANCES)
        latents = mean if sample is None else ops.cast(sample(mean, log_variance), "float32")
        levels.append((mean, log_variance, latents))
        return latents

    if is_ladder(decoder):
        scales = decoder.descend(latents_of, condition, training)
    else:
        scales = [feed(decoder, "latents", latents_of(0, None), condition, training)]
    means, log_variances, latents = (ops.concatenate(parts, axis=-1) for parts in zip(*levels))
    return means, log_variances, latents, [ops.cast(scale, "float32") for scale in scales]


def averaged_down(images: Tensor, like: Tensor) -> Tensor:
    """Images averaged down to the size of others, which are smaller by an integer factor."""
    factor = images.shape[1] // like.shape[1]
    return ops.average_pool(images, factor, strides=factor, data_format="channels_last")
