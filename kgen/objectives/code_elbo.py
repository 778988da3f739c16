"""The objective of a VAE whose latents are code words."""

from __future__ import annotations

from typing import Any

from keras import ops

from kgen import checks
from kgen.networks.interface import feed
from kgen.objectives.adversary import Adversary
from kgen.objectives.objective import Objective
from kgen.serializable import serializable
from kgen.training import Phase, backend
from kgen.types import Tensor

# A code word counts as used if its mean divergence over a batch is above this, in nats.
_USED = 0.1


@serializable
class CodeELBO(Objective):
    """Reconstruction + beta sum_j KL(q(k_j|x, c) || p(k_j|c)), in nats per image, for code words as latents.

    See `kgen.sampling.code_prior`. The prior learns in the same steps, in its own phase with its own optimizer. It
    minimises -log p(k|c) of words drawn from q, so nothing has to be fitted afterwards. If the model has a
    discriminator, the generator must also convince it with images generated from the prior.

    Pass it to `TextToImage.compile(objective=...)` of a model with `codes`; `compile` also makes one from its
    arguments.

    What it trains: `model.encoder`, `model.generator`, `model.codes`, what `model.reconstruction` learns, and
    `model.discriminator`.

    Args:
        beta: weight of the divergence; 1 is the bound.
        loss, penalties, mixing, adversarial_weight: for the discriminator, as in `kgen.objectives.ELBO`.

    Raises:
        ValueError: for a negative weight, or discriminator arguments for a model without a discriminator.

    Example:

    ```python
    model = kgen.models.TextToImage(encoder, codes=(16, 8))
    model.compile(beta=0.5)                 # makes one
    ```
    """

    generating_phase = "autoencoder"

    def __init__(
        self,
        beta: float = 1.0,
        loss: Any = "auto",
        penalties: Any = "auto",
        mixing: Any = None,
        adversarial_weight: float = 1.0,
    ):
        self.beta = checks.number("TextToImage.compile", "beta", beta, least=0)
        self.loss = loss
        self.penalties = penalties
        self.mixing = mixing
        self.adversarial_weight = checks.number(
            "TextToImage.compile", "adversarial_weight", adversarial_weight, least=0
        )

    def attach(self, model: Any) -> None:
        """Takes the networks of a model."""
        super().attach(model)
        judging = self.loss, self.penalties, self.mixing
        if model.discriminator is not None:
            self.adversary = Adversary(model.discriminator, *judging)
        elif judging != ("auto", "auto", None):
            raise ValueError(
                "TextToImage.compile: loss, penalties and mixing need a discriminator; this model was built "
                "without one."
            )

    def phases(self) -> list[Phase]:
        """The discriminator if there is one; then encoder, generator and likelihood together; then the prior."""
        model = self.model
        parts = (model.encoder, model.generator, model.reconstruction)
        variables = [variable for part in parts for variable in getattr(part, "trainable_variables", ())]
        terms = ("reconstruction", "kl", *("adversarial",) * (self.adversary is not None))
        measures = (model.space.error_name, "used_codes")
        return self.after_discriminator(
            Phase(self.generating_phase, self.autoencoder_loss, variables, terms=terms, measures=measures),
            # The image loss is so much larger that clipping in a shared phase would leave the prior no gradient.
            Phase("prior", self.prior_loss, model.codes.network.trainable_variables),
        )

    def autoencoder_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """Reconstruction, divergence and the measures."""
        model, reconstruction = self.model, self.model.reconstruction
        images, condition, logits, codes = self.found(batch, training)
        outputs = ops.cast(feed(model.generator, "latents", codes, condition, training), "float32")
        by_word = model.codes.divergence(logits, codes, condition, training)
        parts = {
            "reconstruction": reconstruction.loss(images, outputs),
            "kl": self.beta * ops.sum(by_word, axis=-1),
            model.space.error_name: model.space.error(images, model.space.location(reconstruction, outputs)),
            "used_codes": backend.on_whole_batch(_used_codes, by_word),
        }
        if self.adversary is not None:
            fake = model.sampler.generated(images, condition, training)
            doubt = self.adversary.generator_loss(images, fake, condition, training, model.seeds(training))
            parts["adversarial"] = self.adversarial_weight * doubt
        return parts

    def prior_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """-log p(k|c) of code words drawn from q, in nats."""
        _, condition, _, codes = self.found(batch, training)
        return {"loss": -self.model.codes.log_density(ops.stop_gradient(codes), condition, training)}

    def found(self, batch: dict[str, Tensor], training: bool) -> tuple[Tensor, dict[str, Tensor], Tensor, Tensor]:
        """`(images, condition, logits of q, code words drawn from q)` of a batch."""
        model = self.model
        images, condition = model.conditioned(batch, training)
        logits = ops.cast(feed(model.encoder, "images", images, condition, training), "float32")
        return images, condition, logits, model.codes.sample(logits, model.seeds(training))


def _used_codes(by_word):
    """How many code words this batch uses, repeated for each image, from their divergences `(batch, words)`."""
    used = ops.sum(ops.cast(ops.mean(by_word, axis=0) > _USED, "float32"))
    return used * ops.ones_like(by_word[:, 0])
