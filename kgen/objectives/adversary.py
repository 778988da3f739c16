"""A discriminator and its losses, shared by every model that trains against one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgen import checks, losses
from kgen.layers import AdaptiveAugment, DiffAugment
from kgen.networks.feature_network import feature_tensor
from kgen.networks.interface import condition_names, feed, inputs_of, outputs_of
from kgen.training import AdaptiveProbability, Phase, backend
from kgen.types import Tensor

_AUGMENTATIONS = {"diff_augment": DiffAugment, "adaptive_augment": AdaptiveAugment}


class Adversary:
    """A discriminator: its logits for images, its own loss, and the loss of the network that has to convince it.

    A discriminator that takes a condition is trained to be matching-aware [Reed et al. 2016, "Generative adversarial
    text to image synthesis"]: a real image with another sample's condition counts as a fake, so it has to look at both.

    A discriminator with an auxiliary classifier learns the classes of real images, and the generator learns to be
    recognised [Odena et al. 2017, "Conditional image synthesis with auxiliary classifier GANs"]. In the paper the
    classifier learns from generated images too, but then classifier and generator can agree on wrong images for a class
    before either has learned the right ones.

    Args:
        discriminator: network from images `(batch, H, W, C)` in [-1, 1], or `{"images", "pooled"}`, to `(batch, 1)`, or
            to `{"logits": (batch, 1), "labels": (batch, num_classes)}`. It may give a map of logits `(batch, h, w, 1)`
            for overlapping patches in place of one logit [Isola et al. 2017, "Image-to-image translation with
            conditional adversarial networks"]: losses are then means over patches.
        loss, penalties, mixing, augmentation: as in `GAN.compile`. The loss "auto" is the non-saturating one. Penalties
            "auto" are a light R1 in every eighth step; none if the discriminator normalises by batch statistics,
            because the gradient for one image then depends on the others.
        classification_weight: weight of the cross-entropy of labels in both losses.
        feature_matching: weight of `kgen.losses.feature_matching` in the generator's loss.
        adaptive_probability: the `kgen.training.AdaptiveProbability` that an `AdaptiveAugment` needs.

    Raises:
        TypeError: for an augmentation that is not a `DiffAugment`.
        ValueError: for an unknown loss, penalty or mixing, or a negative weight.

    Example:

    ```python
    adversary = Adversary(discriminator, loss="hinge", penalties="r1")
    adversary.generator_loss(real, fake, {}, training=True)         # (batch,)
    ```
    """

    def __init__(
        self,
        discriminator: keras.Model,
        loss: Any = "auto",
        penalties: Any = "auto",
        mixing: Any = None,
        augmentation: Any = None,
        classification_weight: float = 1.0,
        feature_matching: float = 0.0,
        adaptive_probability: AdaptiveProbability | None = None,
    ):
        automatic = isinstance(loss, str) and loss == "auto"
        loss = losses.get("adversarial loss", "non_saturating" if automatic else loss)
        if isinstance(penalties, str) and penalties == "auto":
            penalties = [] if _normalizes_batches(discriminator) else [losses.R1(1.0, every=8)]
        elif not isinstance(penalties, (list, tuple)):
            penalties = [penalties]
        penalties = [losses.get("penalty", penalty) for penalty in penalties]
        if mixing is not None:
            mixing = losses.get("mixing", mixing)
            if not isinstance(loss, losses.SeparableLoss):
                raise ValueError(
                    "compile: mixing makes partly real images, which only a kgen.losses.SeparableLoss can judge; got "
                    f"the loss {type(loss).__name__}."
                )
        if isinstance(augmentation, str) and augmentation in _AUGMENTATIONS:
            augmentation = _AUGMENTATIONS[augmentation]()
        if augmentation is not None and not isinstance(augmentation, DiffAugment):
            raise TypeError(
                f"compile: augmentation must be a kgen.layers.DiffAugment, one of {sorted(_AUGMENTATIONS)}, or None; "
                f"got {augmentation!r}."
            )
        checks.number("compile", "classification_weight", classification_weight, least=0)
        checks.number("compile", "feature_matching", feature_matching, least=0)
        self.discriminator = discriminator
        self.loss = loss
        self.penalties = tuple(penalties)
        self.mixing = mixing
        self.augmentation: Any = augmentation
        self.classification_weight = classification_weight
        self.feature_matching = feature_matching
        self.is_adaptive = isinstance(augmentation, AdaptiveAugment)
        self.adaptive_probability: Any = adaptive_probability
        self.has_classifier = "labels" in outputs_of(discriminator)
        self.judges_patches = len(outputs_of(discriminator)["logits"].shape) == 4
        if self.judges_patches and mixing is not None:
            raise ValueError("compile: mixing needs a discriminator with one logit per image; this one judges patches.")
        # One pass over many images costs less than two over half as many.
        self.joins = _judges_each_alone(discriminator)
        self._network = discriminator
        if feature_matching:
            outputs = {**outputs_of(discriminator), "features": feature_tensor(discriminator)}
            self._network = keras.Model(inputs_of(discriminator), outputs)

    def phase(self, loss: Callable) -> Phase:
        """The phase that trains the discriminator on the model's `loss`, which calls `discriminator_loss`."""
        variables = self.discriminator.trainable_variables
        return Phase("discriminator", loss, variables, terms=self.terms, measures=self.measures)

    def loss_on_draws(self, model: Any, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """`discriminator_loss` on the images of a batch and on images that the model generates from its prior."""
        real, condition = model.conditioned(batch, training)
        fake = model.sampler.generated(real, condition, training)
        return self.discriminator_loss(real, fake, condition, training, model.seeds(training), model.average.updates)

    @property
    def terms(self):
        """Names of the parts of `discriminator_loss`."""
        names = ("discrimination", *["penalty"] * bool(self.penalties), *["classification"] * self.has_classifier)
        return names if len(names) > 1 else ()

    @property
    def measures(self):
        """Names of what `discriminator_loss` reports besides the loss."""
        names = ["classification_accuracy"] * self.has_classifier + ["augmentation_probability"] * self.is_adaptive
        return ("discriminator_accuracy", *names)

    def judge(self, images: Tensor, condition: dict, training: bool, seed: Any = None) -> dict[str, Tensor]:
        """The discriminator's outputs for images, which are augmented with `seed` in training; all float32.

        Returns:
            Dict of `logits`, `(batch,)`, or `(batch, patches)` if it judges patches; with a classifier its logits,
            `labels` `(batch, num_classes)`; with feature matching `features` `(batch, ...)`.
        """
        if self.augmentation is not None and training:
            drawn = self.augmentation.parameters(ops.shape(images)[0], *images.shape[1:3], seed)
            probability = self.adaptive_probability.probability if self.is_adaptive else None
            images = self.augmentation.apply(images, drawn, probability)
        outputs = feed(self._network, "images", images, condition, training)
        outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
        outputs = {name: ops.cast(output, "float32") for name, output in outputs.items()}
        logits = outputs["logits"]
        shape = (ops.shape(logits)[0], -1) if self.judges_patches else (-1,)
        return {**outputs, "logits": ops.reshape(logits, shape)}

    def judge_each(self, batches: list[tuple[Tensor, dict]], training: bool, seed: Any = None) -> list[dict]:
        """`judge` for each of several `(images, condition)` of the same size, in one joined pass if possible."""
        if not self.joins:
            return [self.judge(images, condition, training, seed) for images, condition in batches]
        names = condition_names(self.discriminator, batches[0][1])
        conditions = [{name: condition[name] for name in names & set(condition)} for _, condition in batches]
        images = ops.concatenate([images for images, _ in batches])
        condition = keras.tree.map_structure(lambda *parts: ops.concatenate(parts), *conditions)
        judged = self.judge(images, condition, training, seed)
        parts = {name: ops.split(output, len(batches)) for name, output in judged.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(len(batches))]

    def logits(self, images: Tensor, condition: dict, training: bool, seed: Any = None) -> Tensor:
        """The discriminator's logits in float32; see `judge`."""
        return self.judge(images, condition, training, seed)["logits"]

    def discriminator_loss(
        self, real: Tensor, fake: Tensor, condition: dict, training: bool, seed: Any, step: Any = 0
    ) -> dict[str, Tensor]:
        """The discriminator's loss terms and measures by name: tensors `(batch,)`, as `Phase` expects.

        `discriminator_accuracy` is measured on pairs of a real and a generated image, `classification_accuracy` on real
        images. In training with `mixing`, both are measured on the mixed images.

        Args:
            real, fake: images in [-1, 1].
            condition: the condition of both.
            training: whether this is a training step.
            seed: for random numbers.
            step: number of this training step, from 0; it decides which lazy penalties are due.
        """
        fake = ops.stop_gradient(fake)
        # Pairs real images with the conditions of others, for a discriminator that takes a condition.
        others = (
            backend.on_whole_batch(_neighbours, condition) if condition_names(self.discriminator, condition) else {}
        )
        mismatched = [(real, others)] if others else []
        share: Any = 1.0
        if self.mixing is not None and training:
            images, share = self.mixing.mixed(real, fake, seed)
            judged = self.judge(images, condition, training, seed)
            logits = judged["logits"]
            on_pairs = self.judge_each([(real, condition), *mismatched], training, seed) if mismatched else []
            # What counts as real is smoothed as in `SeparableLoss.discriminator`.
            value = self.loss.partly_real(logits, share * (1.0 - getattr(self.loss, "label_smoothing", 0.0)))
            accuracy = backend.on_whole_batch(_neighbour_accuracy, logits, share)
            signs = 2.0 * accuracy - 1.0
        else:
            seen = [(real, condition), (fake, condition), *mismatched]
            judged, on_fake, *rest = self.judge_each(seen, training, seed)
            real_logits, fake_logits = judged["logits"], on_fake["logits"]
            on_pairs = [judged, *rest]
            value = _per_image(self.loss.discriminator(real_logits, fake_logits))
            accuracy = _per_image(losses.pair_accuracy(real_logits, fake_logits))
            boundary = getattr(self.loss, "boundary", None)
            signs = _per_image(ops.sign(real_logits - (fake_logits if boundary is None else boundary)))
        if mismatched:
            on_real, on_mismatched = (on["logits"] for on in on_pairs)
            value = self._matched(value, on_real, on_mismatched, condition, others)
        parts = {"discrimination" if self.terms else "loss": value, "discriminator_accuracy": accuracy}
        if self.penalties:
            parts["penalty"] = self._penalty(real, fake, condition, training, seed, step)
        if self.has_classifier:
            labels = judged["labels"]
            error = losses.label_cross_entropy(condition["pooled"], labels)
            # Of a mixed image only the real part counts; see the class.
            parts["classification"] = self.classification_weight * share * error
            parts["classification_accuracy"] = losses.label_accuracy(condition["pooled"], labels)
        if self.is_adaptive:
            parts["augmentation_probability"] = ops.zeros_like(accuracy) + self.adaptive_probability.probability
            if training:
                self.adaptive_probability.update(signs, self.augmentation.target, self.augmentation.images)
        return parts

    def _matched(self, value, real_logits, mismatched_logits, condition, others):
        """The loss; half of it comes from real images with the conditions of others, where these differ."""
        mismatched = _per_image(self.loss.discriminator(real_logits, mismatched_logits))
        # A neighbour with the same condition is not a mismatch.
        differs = ops.any(ops.not_equal(condition["pooled"], others["pooled"]), axis=-1)
        return ops.where(differs, 0.5 * (value + mismatched), value)

    def _penalty(self, real, fake, condition, training, seed, step):
        nothing = ops.zeros((ops.shape(real)[0],), "float32")

        def cost(penalty):
            points = penalty.points(real, fake, seed)
            slope = backend.input_gradient(
                lambda images: _per_image(self.logits(images, condition, training, seed)), points
            )
            return penalty.every * penalty.cost(slope)

        total = nothing
        # A penalty differentiates the gradient of the logits, which evaluation does not need.
        for penalty in self.penalties if training else ():
            if penalty.every == 1:
                total = total + cost(penalty)
            else:
                due = ops.equal(ops.mod(ops.cast(step, "int32"), penalty.every), 0)
                total = total + backend.value_if(due, lambda penalty=penalty: cost(penalty), nothing)
        return total

    def generator_loss(self, real: Tensor, fake: Tensor, condition: dict, training: bool, seed: Any = None) -> Tensor:
        """The generator's loss, `(batch,)`: adversarial, plus classification and feature matching where asked for."""
        on_real: Any = None
        # A loss that judges each image by itself does not need the real ones.
        if self.feature_matching or not isinstance(self.loss, losses.SeparableLoss):
            on_real = self.judge(real, condition, training, seed)
        on_fake = self.judge(fake, condition, training, seed)
        value = _per_image(self.loss.generator(None if on_real is None else on_real["logits"], on_fake["logits"]))
        if self.has_classifier:
            error = losses.label_cross_entropy(condition["pooled"], on_fake["labels"])
            value = value + self.classification_weight * error
        if self.feature_matching:
            distance = backend.on_whole_batch(losses.feature_matching, on_real["features"], on_fake["features"])
            value = value + self.feature_matching * distance
        return value


def _neighbours(tensors):
    """The same tensors, in any structure, with each row of a batch replaced by the row before it."""
    return keras.tree.map_structure(lambda tensor: ops.roll(tensor, 1, axis=0), tensors)


def _neighbour_accuracy(logits, share):
    """`pair_accuracy` of each mixed image with its neighbour."""
    return losses.pair_accuracy(logits, _neighbours(logits), share - _neighbours(share))


def _per_image(values):
    """`(batch,)`: the means over patches, if there are any."""
    return ops.mean(values, axis=1) if len(values.shape) == 2 else values


def _judges_each_alone(network):
    """Whether a network's output for an image certainly does not depend on the others in its batch.

    It does depend on them with batch normalisation and with layers that have a function `on_whole_batch`. It may with
    layers from outside Keras and kgen, and with operations outside of layers.
    """
    layers = network._flatten_layers()
    steps = [step for layer in layers for step in (layer, *getattr(layer, "operations", ()))]
    return not _normalizes_batches(network) and not any(
        isinstance(step, keras.layers.Lambda)
        or hasattr(step, "on_whole_batch")
        or not isinstance(step, keras.layers.Layer)
        or type(step).__module__.partition(".")[0] not in ("keras", "kgen")
        for step in steps
    )


def _normalizes_batches(network):
    """Whether a network contains batch normalisation, recognised by the statistics that it keeps."""
    return any(variable.name == "moving_mean" for variable in network.variables)
