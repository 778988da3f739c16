"""One picture in the style of another, in one pass."""

from __future__ import annotations

import keras
from keras import ops

from kgen import losses, networks
from kgen.layers import AdaptiveInstanceNorm, channel_statistics
from kgen.models.style_encoder import CONTENT_MAPS, style_encoder
from kgen.models.stylizing_model import StylizingModel
from kgen.models.two_sets_model import TwoSetsModel
from kgen.training import MovingAverage, Phase, network_copy

_STYLE_WEIGHTS = {"adain": 10.0, "gatys": 1.0}


@keras.saving.register_keras_serializable(package="kgen")
class StyleTransfer(TwoSetsModel, StylizingModel):
    """Any picture in the style of any other: `fit(contents, styles)`, then `stylize(content, style)`.

    A frozen encoder f sees both. The features of the content c get the means and deviations of those of the style s,
    and a decoder g, which alone is trained, makes a picture of them [Huang & Belongie 2017, "Arbitrary style transfer
    in real-time with adaptive instance normalization"]:

        t = AdaIN(f(c), f(s)),   loss = |f(g(t)) - t|^2 + style_weight * sum_l style_loss(f_l(s), f_l(g(t)))

    with `kgen.losses.content_loss` at one of the encoder's feature maps and `kgen.losses.style_loss` at all of them.
    The decoder may read several maps, each in its style (`content_maps`); content loss is at the coarsest of these.
    Beside each picture in the style of another the decoder draws one in its own, which is to be the picture itself:
    that teaches it soonest what features look like ["identity loss", Park & Lee 2019, "Arbitrary style transfer with
    style-attentional networks"]. The decoder's weights are averaged; the average draws.

    Args:
        encoder: "vgg19", which Keras downloads; "efficientnet_lite0", which comes with pip; or a network of your own,
            as of `kgen.models.style_encoder.style_encoder`. It is copied, and stays as it is.
        decoder: built `keras.Model` from features `(batch, h, w, C)` of the content's map, or a list of several, to
            pictures; None: `kgen.networks.style_decoder`.
        feature_layers: names of the encoder's layers that content and styles are seen by, fine to coarse; None: those
            known to be good, or all outputs of your own model.
        content_maps: numbers of the maps, from 0, fine to coarse, that get the style and that the decoder reads; one
            number for a single map, as in the paper. The coarser the finest, the more of a picture is drawn anew.
            None: those known to be good, or the last.
        value_range: what an encoder of your own expects in place of the darkest and the brightest.
        ema_momentum: of the average of the decoder's weights, in [0, 1).
        seed: integer or None; where training's random numbers begin.

    Raises:
        ImportError, OSError: the encoder's weights are not there.
        TypeError: if `encoder` or `decoder` is no network.
        ValueError: if their shapes do not fit, or another argument is out of range.

    Example:

    ```python
    model = kgen.models.StyleTransfer("efficientnet_lite0")
    model.compile()
    model.fit(photos, paintings, batch_size=4, epochs=10)     # each photo with paintings drawn by lot
    model.stylize(photo, painting)                            # uint8, of the photo's size
    model.stylize(photo, [painting, texture], weights=[2, 1], strength=0.8, preserve_color=True)
    ```
    """

    first_set, second_set = "contents", "styles"

    def __init__(
        self,
        encoder="vgg19",
        decoder=None,
        feature_layers=None,
        content_maps=None,
        value_range=(-1.0, 1.0),
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        # === Layers ===
        self.encoder = style_encoder(encoder, feature_layers, value_range, "StyleTransfer")
        self.image_shape = (None, None, self.encoder.inputs[0].shape[-1])
        shapes = [each.shape for each in self._features_of(256)]
        if content_maps is None:
            known = isinstance(encoder, str) and feature_layers is None
            content_maps = CONTENT_MAPS[encoder] if known else len(shapes) - 1
        self.content_maps = (content_maps,) if isinstance(content_maps, int) else tuple(content_maps)
        if not self.content_maps or any(
            type(each) is not int or each not in range(len(shapes)) for each in self.content_maps
        ):
            raise ValueError(
                f"StyleTransfer: content_maps must be numbers of the {len(shapes)} feature maps, from 0; got "
                f"{content_maps!r}."
            )
        shapes = [shapes[number] for number in self.content_maps]
        factors = [256 // shape[1] for shape in shapes]
        self.factor = factors[-1]
        if decoder is None:
            channels = [shape[-1] for shape in shapes]
            decoder = networks.style_decoder(channels, factors, output_channels=self.image_shape[-1])
        self.decoder = self._checked(decoder, shapes)
        self.normalize = [AdaptiveInstanceNorm(dtype="float32") for _ in shapes]
        for normalize, shape in zip(self.normalize, shapes):
            normalize.build(shape, (None, 2 * shape[-1]))
        self.average = MovingAverage(self.decoder, ema_momentum)
        self.ema_momentum = ema_momentum
        self.objective = self.style_weight = self.identity_weight = None
        self.built = True

    def _features_of(self, side):
        outputs = self.encoder.compute_output_spec(keras.KerasTensor((1, side, side, self.image_shape[-1])))
        return outputs if isinstance(outputs, (list, tuple)) else [outputs]

    def _checked(self, decoder, shapes):
        if not isinstance(decoder, keras.Model):
            raise TypeError(f"StyleTransfer: decoder must be a keras.Model; got {type(decoder).__name__}.")
        if len(decoder.inputs) != len(shapes):
            raise ValueError(
                f"StyleTransfer: the decoder must read {len(shapes)} maps, those of content_maps={self.content_maps}; "
                f"it reads {len(decoder.inputs)}."
            )
        drawn = self.draw(decoder.compute_output_spec, [keras.KerasTensor(shape) for shape in shapes]).shape
        if tuple(drawn) != (1, 256, 256, self.image_shape[-1]):
            raise ValueError(
                f"StyleTransfer: of features {', '.join(str(tuple(shape[1:])) for shape in shapes)} the decoder must "
                f"make a picture of {(256, 256, self.image_shape[-1])}; it makes {tuple(drawn[1:])}."
            )
        return network_copy(decoder)

    # === Training ===
    def compile(self, optimizer="auto", objective="adain", style_weight=None, identity_weight=1.0, **kwargs):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            objective: "adain", as above; or "gatys", what optimisation minimises for a single picture [Gatys et al.
                2016, "Image style transfer using convolutional neural networks"]: content is compared with the
                picture's own features, not with those in the style, and styles by Gram matrices,
                `kgen.losses.gram_loss`.
            style_weight: of the style loss beside the content loss; None: 10 of "adain", 1 of "gatys".
            identity_weight: of the squared difference between pictures, in [-1, 1], and what is drawn of them in their
                own style; 0 leaves it out, as in the paper.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            ValueError: for a negative weight, or an unknown objective.
        """
        if objective not in _STYLE_WEIGHTS:
            raise ValueError(f"StyleTransfer.compile: objective must be 'adain' or 'gatys'; got {objective!r}.")
        style_weight = _STYLE_WEIGHTS[objective] if style_weight is None else style_weight
        for name, weight in (("style_weight", style_weight), ("identity_weight", identity_weight)):
            if not weight >= 0:
                raise ValueError(f"StyleTransfer.compile: {name} must be at least 0; got {weight!r}.")
        self.objective, self.style_weight, self.identity_weight = objective, style_weight, identity_weight
        super().compile(optimizer, **kwargs)

    def get_compile_config(self):
        own = {name: getattr(self, name) for name in ("objective", "style_weight", "identity_weight")}
        return {**super().get_compile_config(), **own} if self.compiled else {}

    def phases(self):
        """One: the decoder."""
        terms = ("content", "style", "identity") if self.identity_weight else ("content", "style")
        return [Phase("decoder", self.decoder_loss, self.decoder.trainable_variables, terms=terms)]

    def decoder_loss(self, batch, training):
        """Content and style loss of pictures in the styles of others, and the identity loss, each `(batch,)`."""
        images = batch["images"]
        styles = self.second_of(batch, training)
        decoder = self.decoder if training else self.average
        features, wanted = self.content_features(images), self.encode(styles)
        moments = [channel_statistics(each) for each in wanted]
        target = self.in_style(features, ops.concatenate([moments[i] for i in self.content_maps], axis=-1))
        if self.identity_weight:
            both = [ops.concatenate(pair) for pair in zip(target, features)]
            restyled, own = ops.split(self.draw(decoder, both, training=training), 2)
        else:
            restyled = self.draw(decoder, target, training=training)
        seen = self.encode(restyled)
        if self.objective == "adain":
            content = target[-1]
            style = sum(losses.style_loss(want, channel_statistics(each)) for want, each in zip(moments, seen))
        else:
            content = features[-1]
            style = sum(losses.gram_loss(want, each) for want, each in zip(wanted, seen))
        content = losses.content_loss(content, seen[self.content_maps[-1]])
        parts = {"content": content, "style": self.style_weight * style}
        if self.identity_weight:
            parts["identity"] = self.identity_weight * losses.content_loss(images, own)
        return parts

    def after_step(self):
        """Updates the averaged decoder."""
        self.average.update(self.decoder)

    # === Config ===
    def get_config(self):
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "content_maps": self.content_maps,
            "ema_momentum": self.ema_momentum,
        }

    @classmethod
    def from_config(cls, config):
        networks = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("encoder", "decoder")}
        return cls(**{**config, **networks})
