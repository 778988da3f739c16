"""What a dual encoder says of generated images, as a term of the loss of what generates them."""

from __future__ import annotations

from typing import Any

from kgen.training import Phase


class Matching:
    """Adds to a generator's phase that its images fit their captions better than the others of the batch.

    The term is `DualEncoder.matching_loss` of images drawn from the prior, one for each caption: one more pass
    through the generator. The dual encoder itself stays as it is. It must have the text encoder of the model that it
    helps, frozen, as what comes in are that one's features.

    A plain object, neither layer nor model: the model that it helps does not save the dual encoder, which drawing has
    no need of. To train a loaded model on: `model.compile(model.optimizer, matching=encoder)`.

    Args:
        encoder: a trained `DualEncoder`.
        weight: of the term.
        model: the `TextToImage` that it helps.

    Raises:
        TypeError: if `encoder` is not a dual encoder.
        ValueError: for a weight that is not positive, images of another shape, another text encoder, or one that is
            trained.
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
                f"TextToImage.compile: matching is of images of shape {encoder.image_shape}; this model makes "
                f"{model.image_shape}."
            )
        own = model.text_encoder
        other = encoder.text_encoder
        if own.trainable or (other is not own and other.fingerprint() != own.fingerprint()):
            raise ValueError(
                "TextToImage.compile: matching reads the features of this model's text encoder, which must be frozen, "
                "and the dual encoder's too: make both of one, and set its trainable to False before compile()."
            )
        self.encoder = encoder
        self.weight = float(weight)

    def joined(self, phase: Phase, model: Any) -> Phase:
        """The phase of a generative model in which it generates, with the term `matching` in its loss.

        Args:
            phase: a `Phase` whose batches have `images` and what `TextToImage.condition` takes.
            model: the `TextToImage`.
        """
        terms = phase.terms or ("adversarial",)

        def loss(batch, training):
            result = phase.loss(batch, training)
            parts = dict(result) if isinstance(result, dict) else {"loss": result}
            if "loss" in parts:
                parts["adversarial"] = parts.pop("loss")
            features = {key: value for key, value in batch.items() if key != "images"}
            fake = model.space.decode(model.sampler.generated(batch["images"], model.condition(features), training))
            return {**parts, "matching": self.weight * self.encoder.matching_loss(fake, features)}

        return Phase(phase.name, loss, phase.variables, phase.every, (*terms, "matching"), phase.measures)
