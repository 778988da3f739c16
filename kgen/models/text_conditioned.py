"""The generative models that stand behind a text encoder where none is given."""

from __future__ import annotations

from kgen import losses, networks
from kgen.models.gan import GAN
from kgen.models.vae import VAE

KINDS = ("vae", "gan", "vae_gan")

# So wide a deviation makes a nat of latent information dear: what a caption says is left to the caption, and a latent
# drawn from the prior cannot contradict it. With 0.5 the posterior tells the decoder about the picture too, and fewer
# pictures drawn from the prior are the right ones (benchmarks/README.md).
_SIGMA = 8.0
_EMA_MOMENTUM = 0.998


def generative_model_for_text(kind, image_shape, pooled_dim, token_dim, latent_dim, seed=None, **sizes):
    """A GAN, a VAE, or a VAE whose pictures a discriminator judges too, conditioned on text.

    The grid of the generator starts at 8x8 and its convolutions work at a quarter of the picture's size, from where a
    pixel shuffle makes the pixels. Most of its weights are in the dense layer that lifts text and noise to that grid.

    Args:
        kind: `"vae"`, `"gan"` or `"vae_gan"`.
        image_shape: `(height, width, channels)`.
        pooled_dim, token_dim: lengths of the text encoder's pooled and token features.
        latent_dim: length of a latent vector.
        seed: integer or None.
        **sizes: arguments of `MultiscaleDecoder` to use in place of these.

    Raises:
        ValueError: for another `kind`.

    Example:

    ```python
    generative_model_for_text("vae", (64, 64, 3), pooled_dim=384, token_dim=384, latent_dim=8)
    ```
    """
    if kind not in KINDS:
        raise ValueError(f"TextToImage: generative_model is a kgen.models.GAN or VAE, or one of {KINDS}; got {kind!r}.")
    side = min(image_shape[:2])
    decoder = networks.MultiscaleDecoder(
        image_shape,
        latent_dim,
        pooled_dim=pooled_dim,
        token_dim=token_dim,
        **{**_decoder_sizes(side), **sizes},
        output_activation="tanh" if kind == "gan" else "linear",
        name="generator" if kind == "gan" else "decoder",
    )

    def discriminator():
        patch = max(1, side // 32)
        return networks.MultiscaleEncoder(
            image_shape, 1, pooled_dim=pooled_dim, filters=32, patch=patch, name="discriminator"
        )

    shared = {"latent_dim": latent_dim, "ema_momentum": _EMA_MOMENTUM, "seed": seed}
    if kind == "gan":
        return GAN(decoder, discriminator(), **shared)
    # The posterior has little to say, so a small network says it.
    encoder = networks.MultiscaleEncoder(
        image_shape, 2 * latent_dim, pooled_dim=pooled_dim, filters=16, blocks=0, end=8, patch=side // 8, name="encoder"
    )
    judge = discriminator() if kind == "vae_gan" else None
    return VAE(encoder, decoder, reconstruction=losses.Gaussian(_SIGMA), discriminator=judge, **shared)


def _decoder_sizes(side):
    # Convolutions run at 16x16 up to 64 pixels, and at a quarter of the side beyond.
    patch = max(1, side // 16 if side <= 64 else 4)
    stages = 1
    while 8 * 2 ** (stages - 1) * patch < side:
        stages += 1
    return {
        "start": 8,
        "patch": patch,
        "filters": (64, *[48] * (stages - 1)),
        "blocks": (1, *[2] * (stages - 1)),
        "attention_resolutions": (8,),
        "condition_dim": 1024,
        "activation": "silu",
    }
