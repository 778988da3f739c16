"""A dual encoder's judgement of generated images, as a term of the generator's loss."""

from __future__ import annotations

from typing import Any

from kgen.networks.interface import split_batch
from kgen.training import Phase


class Matching:
    """Adds a term to a generator's phase: its images should fit their captions better than others of the batch.

    The term is `DualEncoder.matching_loss` of images generated from the prior, one for each caption. It takes one more
    pass through the generator. The dual encoder itself stays as it is. It must have the same frozen text encoder as the
    model that it helps, because it reads features of that encoder.

    This is a plain object, neither layer nor model, so the model that it helps does not save the dual encoder:
    generating does not need it. To go on training a loaded model: `model.compile(model.optimizer, matching=encoder)`.

    Args:
        encoder: a trained `DualEncoder`.
        weight: weight of the term.
        model: the `TextToImage` that it helps.

    Raises:
        TypeError: if `encoder` is not a dual encoder.
        ValueError: for a weight that is not positive, images of another shape, another text encoder, or one that is not
            frozen.
    """

    def __init__(self, encoder: Any, weight: float, model: Any):
        if not callable(getattr(encoder, "matching_loss", None)):
            raise TypeError(
                f"TextToImage.compile: matching must be a kgen.models.DualEncoder; got {type(encoder).__name__}."
            )
        if not weight > 0:
            raise ValueError(f"TextToImage.compile: matching_weight must be positive; got {weight}.")
        if encoder.image_shape != model.image_shape:
            raise ValueError(
                f"TextToImage.compile: matching takes images of shape {encoder.image_shape}; this model makes "
                f"{model.image_shape}."
            )
        own = model.text_encoder
        other = encoder.text_encoder
        if own.trainable or (other is not own and other.fingerprint() != own.fingerprint()):
            raise ValueError(
                "TextToImage.compile: matching needs this model and the dual encoder to have the same frozen text "
                "encoder. Build both from one, and set its trainable to False before compile()."
            )
        self.model = model
        self.encoder = encoder
        self.weight = float(weight)

    def joined(self, phase: Phase) -> Phase:
        """A generative model's generating phase, with the term `matching` in its loss.

        Its batches have `images` and what `TextToImage.condition` takes.
        """
        model = self.model
        # What a loss without named terms is.
        unnamed = "distance" if model.discriminator is None else "adversarial"
        terms = phase.terms or (unnamed,)

        def loss(batch, training):
            result = phase.loss(batch, training)
            parts = dict(result) if isinstance(result, dict) else {"loss": result}
            if "loss" in parts:
                parts[unnamed] = parts.pop("loss")
            images, features = split_batch(batch)
            fake = model.space.decode(model.sampler.generated(images, model.condition(features), training))
            return {**parts, "matching": self.weight * self.encoder.matching_loss(fake, features)}

        return Phase(phase.name, loss, phase.variables, phase.every, (*terms, "matching"), phase.measures)
