"""The objective of a style transfer."""

from __future__ import annotations

from keras import ops

from kgen import checks, losses
from kgen.layers import channel_statistics
from kgen.layers.borders import in_whole_multiples
from kgen.objectives.objective import Objective
from kgen.training import Phase
from kgen.types import Tensor

_STYLE_WEIGHTS = {"adain": 10.0, "gatys": 1.0}


class Stylization(Objective):
    """Content and style losses in the features of an encoder; `StyleTransfer.compile` makes one, and explains it.

    What it trains: `model.decoder`.

    Args:
        kind: "adain" or "gatys", the `objective` of `StyleTransfer.compile`.
        style_weight, identity_weight: as in `StyleTransfer.compile`.
    """

    def __init__(self, kind: str = "adain", style_weight: float | None = None, identity_weight: float = 1.0):
        if kind not in _STYLE_WEIGHTS:
            raise ValueError(f"StyleTransfer.compile: objective must be 'adain' or 'gatys'; got {kind!r}.")
        style_weight = _STYLE_WEIGHTS[kind] if style_weight is None else style_weight
        self.kind = kind
        self.style_weight = checks.number("StyleTransfer.compile", "style_weight", style_weight, least=0)
        self.identity_weight = checks.number("StyleTransfer.compile", "identity_weight", identity_weight, least=0)

    def phases(self) -> list[Phase]:
        """One: the decoder."""
        terms = ("content", "style", "identity") if self.identity_weight else ("content", "style")
        return [Phase("decoder", self.decoder_loss, self.model.decoder.trainable_variables, terms=terms)]

    def decoder_loss(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """Content and style loss of images in the styles of others, and the identity loss, each `(batch,)`."""
        model = self.model
        # Decoded images consist of whole cells of the coarsest map.
        images = in_whole_multiples(batch["images"], model.factor)
        styles = model.image_input.second_of(batch, model.seeds(training))
        decoder = model.decoder if training else model.average
        features, wanted = model.content_features(images), model.encode(styles)
        moments = [channel_statistics(each) for each in wanted]
        target = model.in_style(features, ops.concatenate([moments[i] for i in model.content_maps], axis=-1))
        if self.identity_weight:
            both = [ops.concatenate(pair) for pair in zip(target, features)]
            restyled, own = ops.split(model.draw(decoder, both, training=training), 2)
        else:
            restyled = model.draw(decoder, target, training=training)
        seen = model.encode(restyled)
        if self.kind == "adain":
            content = target[-1]
            style = sum(losses.style_loss(want, channel_statistics(each)) for want, each in zip(moments, seen))
        else:
            content = features[-1]
            style = sum(losses.gram_loss(want, each) for want, each in zip(wanted, seen))
        content = losses.content_loss(content, seen[model.content_maps[-1]])
        parts = {"content": content, "style": self.style_weight * style}
        if self.identity_weight:
            parts["identity"] = self.identity_weight * losses.content_loss(images, own)
        return parts
