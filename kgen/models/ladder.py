"""The way of pictures through encoder and decoder, where latents are a vector and where they are a hierarchy."""

from __future__ import annotations

from keras import ops

from kgen import networks
from kgen.models.network_inputs import feed

_LOG_VARIANCES = (-20.0, 10.0)


def is_ladder(decoder):
    """Whether a decoder has levels of latents, which the encoder meets on the way down."""
    return isinstance(decoder, networks.LadderDecoder)


def latent_dims(decoder, latent_dim):
    """Length of the latents of each level of a decoder; of a plain one, `(latent_dim,)`."""
    return decoder.latent_dims if is_ladder(decoder) else (latent_dim,)


def check_posterior(owner, encoder, decoder, latent_dim):
    """Raises unless the encoder gives a posterior over the decoder's latents."""
    ladders = isinstance(encoder, networks.LadderEncoder), is_ladder(decoder)
    if all(ladders):
        (dims, shapes), (others, other_shapes) = ((net.latent_dims, net.feature_shapes) for net in (encoder, decoder))
        if (dims, shapes) != (others, other_shapes):
            raise ValueError(
                f"{owner}: encoder and decoder must have the same levels. The encoder's have {dims} latents, and want "
                f"to see features of shapes {shapes}; the decoder's have {others} latents and features {other_shapes}."
            )
    elif any(ladders):
        raise ValueError(f"{owner}: a LadderEncoder and a LadderDecoder go together; only one of them was given.")
    elif encoder.output_shape != (None, 2 * latent_dim):
        raise ValueError(
            f"{owner}: the encoder must give means and log-variances, shape (batch, {2 * latent_dim}); got "
            f"{encoder.output_shape}."
        )


def infer(encoder, decoder, images, condition, sample, training):
    """Pictures through q(z|x) and the decoder, level after level where there are several.

    Args:
        encoder, decoder: two networks that `check_posterior` found to go together.
        images: in [-1, 1].
        condition: dict of what is known beside them.
        sample: function from means and log-variances of a level to its latents; None takes the means.
        training: whether the networks are in training.

    Returns:
        `(means, log-variances, latents, scales)`: three `(batch, latent_dim)`, all levels side by side, and a list of
        the decoder's outputs, coarse to fine; float32.
    """
    encoded, levels = feed(encoder, "images", images, condition, training), []
    encoded = encoded if isinstance(encoded, (list, tuple)) else [encoded]

    def latents_of(level, features):
        moments = encoder.posterior(level, encoded[level], features, training) if level else encoded[0]
        mean, log_variance = ops.split(ops.cast(moments, "float32"), 2, axis=-1)
        # A picture unlike any other can throw the encoder far off; its variance must not overflow the loss.
        log_variance = ops.clip(log_variance, *_LOG_VARIANCES)
        latents = mean if sample is None else sample(mean, log_variance)
        levels.append((mean, log_variance, latents))
        return latents

    if is_ladder(decoder):
        scales = decoder.descend(latents_of, condition, training)
    else:
        scales = [feed(decoder, "latents", latents_of(0, None), condition, training)]
    means, log_variances, latents = (ops.concatenate(parts, axis=-1) for parts in zip(*levels))
    return means, log_variances, latents, [ops.cast(scale, "float32") for scale in scales]


def averaged_down(images, like):
    """Images at the scale of others: the means of so many pixels."""
    factor = images.shape[1] // like.shape[1]
    return ops.average_pool(images, factor, strides=factor, data_format="channels_last")
