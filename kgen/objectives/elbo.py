"""The objective of a VAE."""

from __future__ import annotations

from typing import Any

from keras import ops

from kgen import checks, losses
from kgen.layers import GaussianSampling
from kgen.networks import ladder
from kgen.networks.ladder_decoder import split_levels
from kgen.objectives.adversary import Adversary
from kgen.objectives.objective import Objective
from kgen.objectives.perceptual_term import PerceptualTerm
from kgen.serializable import serializable
from kgen.training import Phase, backend
from kgen.types import Tensor


@serializable
class ELBO(Objective):
    """Reconstruction + KL(q(z|x) || p(z)) [Kingma & Welling 2014], in nats per image.

    If the model has a discriminator it is a VAE-GAN [Larsen et al. 2016]: the decoder must also convince the
    discriminator with images generated from the prior. Pass it to `TextToImage.compile(objective=...)`; `VAE.compile`
    makes one from its arguments.

    What it trains: `model.encoder`, `model.generator` (the decoder), what `model.reconstruction` learns, and
    `model.discriminator`.

    Args:
        beta: weight of the KL term; 1 is the loss above, other values are beta-VAE [Higgins et al. 2017].
        warmup_steps: number of training steps over which the weight grows linearly from 0 to `beta`, so that the
            decoder learns to use the latents before they cost anything [Bowman et al. 2016, "Generating sentences
            from a continuous space"; Sønderby et al. 2016, "Ladder variational autoencoders"]. Evaluation always
            counts `beta` in full. A model from a preset begins at 0 again.
        free_nats: information that each latent may carry for free; see `kgen.losses.gaussian_kl`.
        divergence: "kl"; or "mmd", which asks only that the latents of all images together look like the prior's
            [Tolstikhin et al. 2018, "Wasserstein auto-encoders"; Zhao et al. 2019, "InfoVAE"]: the loss has the term
            `mmd` in place of `kl`, `beta` times `kgen.losses.maximum_mean_discrepancy` of latents drawn from q(z|x).
            That number is about 1 and not in nats per image: choose a `beta` as large as the reconstruction term, in
            the hundreds or thousands.
        scales_weight: weight of the images at coarser scales, if the decoder makes them. The loss then has the term
            `scales`: this weight times the negative log-likelihoods of the training images averaged down to each of
            these scales. It is not part of the bound; `reconstruction` covers only the full resolution.
        perceptual: adds the term `perceptual`, the distance between reconstructions and images in the features of a
            network: a `kgen.losses.PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as
            "efficientnet_lite0" [Hou et al. 2017, "Deep feature consistent variational autoencoder"]. A loss or network
            without a name is not saved with the model.
        perceptual_weight: weight of that term, relative to nats per image.
        loss: the discriminator's, a `kgen.losses.AdversarialLoss` or its short name; "auto" is "non_saturating".
        penalties, mixing, augmentation: for the discriminator; see `GAN.compile`.
        adversarial_weight: weight of the adversarial term, relative to reconstruction and KL in nats per image.
        classification_weight, feature_matching: weights within the adversarial term; see `GAN.compile`.

    Raises:
        ValueError: for a negative weight, an unknown divergence, free nats without a KL term, or discriminator
            arguments for a model without a discriminator.

    Example:

    ```python
    model = kgen.models.TextToImage(encoder, recipe="vae")
    model.compile(objective=kgen.objectives.ELBO(beta=0.5, warmup_steps=1000))
    ```
    """

    # The phase that trains the network which generates.
    generating_phase = "autoencoder"

    def __init__(
        self,
        beta: float = 1.0,
        warmup_steps: int = 0,
        free_nats: float = 0.0,
        divergence: str = "kl",
        scales_weight: float = 1.0,
        perceptual: Any = None,
        perceptual_weight: float = 1.0,
        loss: Any = "auto",
        penalties: Any = "auto",
        mixing: Any = None,
        augmentation: Any = None,
        adversarial_weight: float = 1.0,
        classification_weight: float = 1.0,
        feature_matching: float = 0.0,
    ):
        if divergence not in ("kl", "mmd"):
            raise ValueError(f"VAE.compile: divergence must be 'kl' or 'mmd'; got {divergence!r}.")
        if free_nats and divergence != "kl":
            raise ValueError("VAE.compile: free_nats need divergence='kl'; leave them out with 'mmd'.")
        self.beta = checks.number("VAE.compile", "beta", beta, least=0)
        self.warmup_steps = checks.integer("VAE.compile", "warmup_steps", warmup_steps, least=0)
        self.free_nats = checks.number("VAE.compile", "free_nats", free_nats, least=0)
        self.divergence = divergence
        self.scales_weight = checks.number("VAE.compile", "scales_weight", scales_weight, least=0)
        self.perceptual = perceptual
        self.perceptual_weight = perceptual_weight
        self.loss = loss
        self.penalties = penalties
        self.mixing = mixing
        self.augmentation = augmentation
        self.adversarial_weight = checks.number("VAE.compile", "adversarial_weight", adversarial_weight, least=0)
        self.classification_weight = classification_weight
        self.feature_matching = feature_matching

    def attach(self, model: Any) -> None:
        """Takes the networks of a model, which the other methods use."""
        super().attach(model)
        owner = f"{type(model).__name__}.compile"
        model.space.check_objective(owner, perceptual=self.perceptual, augmentation=self.augmentation)
        self.perceptual_term = PerceptualTerm.of("VAE", self.perceptual, self.perceptual_weight)
        self.posterior = {training: GaussianSampling(model.seeds(training)) for training in (True, False)}
        choices = self.loss, self.penalties, self.mixing, self.augmentation
        judging = (*choices, self.classification_weight, self.feature_matching)
        if model.discriminator is not None:
            self.adversary = Adversary(model.discriminator, *judging, model.adaptive_probability)
        elif judging != ("auto", "auto", None, None, 1.0, 0.0):
            raise ValueError(
                "VAE.compile: loss, penalties, mixing, augmentation, classification_weight and feature_matching need "
                "a discriminator; this model was built without one."
            )

    # === Phases ===
    @property
    def multiscale(self) -> bool:
        """Whether the decoder makes images at coarser scales too."""
        decoder = self.model.generator
        return ladder.is_ladder(decoder) and len(decoder.resolutions) > 1

    @property
    def level_names(self) -> tuple[str, ...]:
        """Names of the KL of each level in the logs, if there are several levels."""
        levels = len(self.model.latent_dims)
        return tuple(f"kl_{i + 1}" for i in range(levels) if levels > 1)

    def phases(self) -> list[Phase]:
        """The discriminator if there is one, then encoder, decoder and likelihood together."""
        model = self.model
        # A likelihood may have weights too.
        parts = (model.encoder, model.generator, model.reconstruction)
        variables = [variable for part in parts for variable in getattr(part, "trainable_variables", ())]
        terms = ["reconstruction", self.divergence]
        terms += ["scales"] * self.multiscale + ["perceptual"] * (self.perceptual_term is not None)
        terms += ["adversarial"] * (self.adversary is not None)
        measures = (model.space.error_name, "active_units", *self.level_names)
        autoencoder = Phase("autoencoder", self.autoencoder_loss, variables, terms=tuple(terms), measures=measures)
        return self.after_discriminator(autoencoder)

    def autoencoder_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """Reconstruction, divergence, the other terms that `compile` asked for, and the measures."""
        model, reconstruction = self.model, self.model.reconstruction
        images, condition = model.conditioned(batch, training)
        mean, log_variance, latents, scales = ladder.infer(
            model.encoder, model.generator, images, condition, self.posterior[training], training
        )
        if self.divergence == "kl":
            divergence = losses.gaussian_kl(mean, log_variance, self.free_nats)
        else:
            noise = model.sampler.noise(images, training)
            divergence = backend.on_whole_batch(losses.maximum_mean_discrepancy, latents, noise)
        parts = {
            "reconstruction": reconstruction.loss(images, scales[-1]),
            self.divergence: self.divergence_weight(training) * divergence,
            model.space.error_name: model.space.error(images, model.space.location(reconstruction, scales[-1])),
            "active_units": backend.on_whole_batch(losses.active_units, mean),
        }
        if self.multiscale:
            coarser = sum(reconstruction.loss(ladder.averaged_down(images, scale), scale) for scale in scales[:-1])
            parts["scales"] = self.scales_weight * coarser
        if self.perceptual_term is not None:
            drawn = reconstruction.mean(scales[-1])
            parts["perceptual"] = self.perceptual_term.loss(0.5 * images + 0.5, 0.5 * drawn + 0.5)
        by_level = (split_levels(moments, model.latent_dims) for moments in (mean, log_variance))
        for name, *moments in zip(self.level_names, *by_level):
            parts[name] = losses.gaussian_kl(*moments)
        if self.adversary is not None:
            fake = model.sampler.generated(images, condition, training)
            doubt = self.adversary.generator_loss(images, fake, condition, training, model.seeds(training))
            parts["adversarial"] = self.adversarial_weight * doubt
        return parts

    def divergence_weight(self, training: bool) -> Any:
        """`beta`; in training, the value that it has reached by this step."""
        if not training or not self.warmup_steps:
            return self.beta
        return self.beta * ops.minimum(self.model.average.updates / self.warmup_steps, 1.0)
