"""The objective of a generator without encoder or discriminator: every image must have a generated one near it."""

from __future__ import annotations

import keras
from keras import ops

from kgen import checks
from kgen.networks.interface import feed
from kgen.objectives.objective import Objective
from kgen.serializable import serializable
from kgen.training import Phase, backend
from kgen.types import Tensor

# Added to the squared distance of a draw that must not be chosen.
_REJECTED = 1e9


@serializable
class IMLE(Objective):
    """min_j mean (x - G(z_j, c))^2 over draws z_1 .. z_m for each image: the nearest draw is pulled to it.

    Implicit maximum likelihood estimation [Li & Malik 2018, "Implicit maximum likelihood estimation"], conditional as
    in [Li et al. 2020, "Multimodal image synthesis with conditional implicit maximum likelihood estimation"], with the
    rejection of [Vashist et al. 2024, "Rejection sampling IMLE"]. Unlike adversarial training, it cannot leave images
    out, and nothing can diverge. Details that m draws cannot cover are averaged out.

    Pass it to `TextToImage.compile(objective=...)` with the recipe "imle"; `compile` also makes one from its arguments.

    What it trains: `model.generator`.

    Args:
        samples: m, the number of draws for each image; all are generated, and one is trained on.
        least_distance: draws nearer to the image than this are not chosen, so that the draws in training are spread
            like those in generation. It is a root mean squared difference; images have a deviation of about 1.

    Raises:
        ValueError: for fewer than one draw, or a negative distance.

    Example:

    ```python
    model = kgen.models.TextToImage(encoder, recipe="imle")
    model.compile(samples=16)               # makes one
    ```
    """

    generating_phase = "generator"

    def __init__(self, samples: int = 8, least_distance: float = 0.0):
        self.samples = checks.integer("TextToImage.compile", "samples", samples)
        self.least_distance = checks.number("TextToImage.compile", "least_distance", least_distance, least=0)

    def phases(self) -> list[Phase]:
        """The generator."""
        measures = (self.model.space.error_name,)
        return [Phase("generator", self.generator_loss, self.model.generator.trainable_variables, measures=measures)]

    def generator_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The mean squared difference between each image and the draw that was chosen for it."""
        model = self.model
        images, condition = model.conditioned(batch, training)
        latents = self.chosen(images, condition, model.seeds(training))
        drawn = ops.cast(feed(model.generator, "latents", latents, condition, training), "float32")
        loss = ops.mean(ops.square(drawn - images), axis=(1, 2, 3))
        return {"loss": loss, model.space.error_name: model.space.error(images, drawn)}

    def chosen(self, images: Tensor, condition: dict[str, Tensor], seed: keras.random.SeedGenerator) -> Tensor:
        """Latents `(batch, latent_dim)`: for each image, its nearest draw that is not too near."""
        model, count = self.model, ops.shape(images)[0]
        shape = count * self.samples, model.latent_dim
        noise = backend.like_batch(keras.random.normal(shape, dtype="float32", seed=seed))
        repeated = {name: ops.repeat(value, self.samples, axis=0) for name, value in condition.items()}
        drawn = ops.stop_gradient(ops.cast(feed(model.generator, "latents", noise, repeated, False), "float32"))
        drawn = ops.reshape(drawn, (count, self.samples, *images.shape[1:]))
        distances = ops.mean(ops.square(drawn - ops.expand_dims(images, 1)), axis=(2, 3, 4))
        too_near = ops.cast(distances < self.least_distance**2, "float32")
        nearest = ops.argmin(distances + _REJECTED * too_near, axis=1)
        weights = ops.one_hot(nearest, self.samples, dtype="float32")
        noise = ops.reshape(noise, (count, self.samples, model.latent_dim))
        return ops.sum(weights[..., None] * noise, axis=1)
