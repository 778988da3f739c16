"""The objective of an autoencoder in whose latents other models train."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen import checks, losses
from kgen.objectives.likeness import Likeness
from kgen.objectives.objective import Objective
from kgen.serializable import serializable
from kgen.training import Phase
from kgen.types import Tensor


@serializable
class PerceptualCompression(Objective):
    """Compares reconstructions with images, with a light KL term that keeps latents near N(0, 1).

        L = pixels + perceptual + adversarial + kl_weight mean_j KL(q(z_j|x) || N(0, 1))

    [Esser et al. 2021, "Taming transformers for high-resolution image synthesis"; Rombach et al. 2022,
    "High-resolution image synthesis with latent diffusion models", section 3.1]. An encoder without log-variances has
    no KL term.

    What it trains: `model.encoder` and `model.decoder`, and `model.discriminator` if there is one.

    Args:
        likeness: how images and reconstructions are compared; None: `Likeness()`.
        kl_weight: weight of the mean KL divergence per latent number.

    Raises:
        ValueError: for a negative weight.

    Example:

    ```python
    autoencoder.compile(perceptual="efficientnet_lite0", kl_weight=1e-5)        # makes one
    ```
    """

    def __init__(self, likeness: Likeness | None = None, kl_weight: float = 1e-4):
        self.likeness = Likeness() if likeness is None else likeness
        self.kl_weight = checks.number("Autoencoder.compile", "kl_weight", kl_weight, least=0)

    def attach(self, model: Any) -> None:
        """Takes the networks of a model."""
        super().attach(model)
        self.likeness.attach(model)
        self.adversary = self.likeness.adversary

    def phases(self) -> list[Phase]:
        """The discriminator if there is one, then the autoencoder."""
        model = self.model
        variables = [*model.encoder.trainable_variables, *model.decoder.trainable_variables]
        terms = self.likeness.terms + ("kl",) * model.gaussian
        terms = terms if len(terms) > 1 else ()
        phase = Phase("autoencoder", self.autoencoder_loss, variables, terms=terms, measures=("psnr",))
        return self.after_discriminator(phase)

    def attempt(self, images: Tensor, training: bool) -> tuple[Tensor, Tensor | None]:
        """Reconstructions in about [-1, 1], in training from sampled latents, and the KL divergence `(batch,)`.

        The divergence is the mean over the latent numbers of an image; None if the encoder gives no log-variances.
        """
        model = self.model
        encoder, decoder = (model.encoder, model.decoder) if training else (model.encoder_average, model.average)
        latents, log_variances = model.moments(encoder(images, training=training))
        divergence = None
        if log_variances is not None:
            rows = (ops.shape(latents)[0], -1)
            means, log_variances = ops.reshape(latents, rows), ops.reshape(log_variances, rows)
            count = ops.cast(ops.shape(means)[1], "float32")
            divergence = losses.gaussian_kl(means, log_variances) / count
            if training:
                noise = keras.random.normal(ops.shape(means), dtype="float32", seed=model.seeds(training))
                latents = ops.reshape(means + ops.exp(0.5 * log_variances) * noise, ops.shape(latents))
        return ops.cast(decoder(latents, training=training), "float32"), divergence

    def autoencoder_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The terms that `compile` asked for, and PSNR."""
        made, divergence = self.attempt(batch["images"], training)
        parts = self.likeness.parts(batch["images"], made, training)
        if divergence is not None:
            parts["kl"] = self.kl_weight * divergence
        return parts if len(parts) > 2 else {"loss": parts["pixels"], "psnr": parts["psnr"]}

    def discriminator_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The adversary's loss on images and on reconstructions."""
        made, _ = self.attempt(batch["images"], training)
        return self.likeness.discriminator_loss(batch["images"], made, training)
