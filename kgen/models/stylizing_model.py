"""Pictures out of a model of styles: any content in any style, as arrays and as a SavedModel."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
from keras import ops

from kgen.layers import channel_statistics
from kgen.models import pixels
from kgen.models.image_model import ImageModel
from kgen.models.network_inputs import parted

# What of red, green and blue the eye takes for brightness: Y of YIQ.
_LUMINANCE = np.array([0.299, 0.587, 0.114], "float32")


class StylizingModel(ImageModel):
    """Base of the models that draw a picture in the style of another.

    A subclass sets `encoder`, from pictures in [-1, 1] to feature maps; `content_maps`, the numbers of those that get
    their style, fine to coarse, the last `factor` times smaller than the picture; `normalize`, an
    `AdaptiveInstanceNorm` of each; and `average`, the decoder from these maps to a picture.

    Example:

    ```python
    issubclass(kgen.models.StyleTransfer, kgen.models.stylizing_model.StylizingModel)     # True
    ```
    """

    def encode(self, images):
        """Feature maps, fine to coarse, of images in [-1, 1]; the encoder is always in inference mode."""
        maps = self.encoder(images, training=False)
        return maps if isinstance(maps, (list, tuple)) else [maps]

    def content_features(self, images):
        """The maps, fine to coarse, of images in [-1, 1] that the decoder reads."""
        maps = self.encode(images)
        return [maps[number] for number in self.content_maps]

    def in_style(self, features, statistics):
        """These maps with the means and deviations `(batch, 2 C)` of a style, of all maps side by side."""
        ends = itertools.accumulate(2 * each.shape[-1] for each in features)
        parts = [statistics[:, end - 2 * each.shape[-1] : end] for each, end in zip(features, ends)]
        return [normalize(each, part) for normalize, each, part in zip(self.normalize, features, parts)]

    @staticmethod
    def draw(decoder, features, **kwargs):
        """What a decoder makes of maps, of which it may take one or several."""
        return decoder(features if len(features) > 1 else features[0], **kwargs)

    # === Pictures out ===
    def stylize(self, content, style, strength=1.0, preserve_color=False, weights=None, batch_size=4, verbose="auto"):
        """Pictures in the style of others.

        Args:
            content: a picture `(height, width, channels)` or pictures `(N, height, width, channels)` of any size from
                32 pixels on, uint8, or float in [0, 1] or [-1, 1].
            style: the same, of any size: one for all contents, or one for each; or a list of these, which are mixed.
                One content with several styles is drawn in each.
            strength: from 0, the content as the decoder knows it, to 1.
            preserve_color: keep the content's colours: only luminance is restyled, that of the style brought to the
                content's mean and deviation first [Gatys et al. 2016, "Preserving color in neural artistic style
                transfer", section 5.2]. For pictures of three channels.
            weights: of the styles in a list, numbers of at least 0; None: all the same.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 of the shape of the contents, `(N, height, width, channels)`; of one content and one style a single
            picture.

        Raises:
            TypeError, ValueError: for what is no picture, or numbers that do not fit.
        """
        if not self.average.trained:
            warnings.warn(f"{type(self).__name__} has not been trained: expect noise.", stacklevel=2)
        styles = list(style) if isinstance(style, (list, tuple)) else [style]
        shares = _shares(weights, len(styles))
        if not 0.0 <= strength <= 1.0:
            raise ValueError(f"StyleTransfer.stylize: strength must be from 0 to 1; got {strength!r}.")
        single = all(len(getattr(each, "shape", ())) == 3 for each in (content, *styles))
        content = self._pictures(content, "content")
        styles = [self._pictures(each, "style") for each in styles]
        count = max(len(each) for each in (content, *styles))
        strange = [len(each) for each in (content, *styles) if len(each) not in (1, count)]
        if strange:
            raise ValueError(
                f"StyleTransfer.stylize: give one style, or one for each content; got {len(content)} contents and "
                f"{' and '.join(str(len(each)) for each in styles)} styles."
            )
        if preserve_color:
            if content.shape[-1] != 3:
                raise ValueError(
                    f"StyleTransfer.stylize: preserve_color is for colours; got {content.shape[-1]} channel."
                )
            colored, content = _repeated(content, count), _grey(content)
            styles = [_like(_grey(each), content) for each in styles]
        options = batch_size, verbose
        statistics = sum(
            share * _repeated(self.in_batches(self.style_statistics, {"images": each}, batch_size, 0), count)
            for share, each in zip(shares, styles)
        )
        inputs = {
            "images": _repeated(content, count),
            "statistics": statistics,
            "strength": np.full((count,), strength, "float32"),
        }
        drawn = self.in_batches(self.restyled, inputs, *options)
        if preserve_color:
            # Grey has no chroma in YIQ: what is added to all three channels leaves the colours as they are.
            drawn = colored + _grey(drawn)[..., :1] - _grey(colored)[..., :1]
        drawn = ops.convert_to_numpy(pixels.to_uint8(drawn))
        return drawn[0] if single else drawn

    def style_statistics(self, inputs):
        """Means and deviations `(batch, 2 C)` of `images` in [-1, 1], of all maps of the content side by side."""
        return ops.concatenate([channel_statistics(each) for each in self.content_features(inputs["images"])], axis=-1)

    def restyled(self, inputs):
        """Images, not cut to [-1, 1], from a dict of `images`, `statistics` and `strength`: the graph of `stylize`."""
        images = inputs["images"]
        # A reflected border, taken off again, keeps what the convolutions do at their edges out of the picture.
        border = 4 * self.factor
        padded = ops.pad(images, [[0, 0], [border, border], [border, border], [0, 0]], mode="symmetric")
        features = self.content_features(padded)
        target = self.in_style(features, inputs["statistics"])
        strength = ops.reshape(inputs["strength"], (-1, 1, 1, 1))
        drawn = self.draw(self.average, [own + strength * (new - own) for own, new in zip(features, target)])
        height, width = ops.shape(images)[1:3]
        return drawn[:, border : border + height, border : border + width]

    def call(self, inputs):
        """Pictures in [-1, 1] of `{"images", "styles"}`, each in the style of its own."""
        images, others = parted(inputs)
        statistics = self.style_statistics({"images": others["styles"]})
        return self.restyled({"images": images, "statistics": statistics, "strength": ops.ones(ops.shape(images)[:1])})

    def _pictures(self, images, what):
        """Pictures `(N, height, width, channels)` in [-1, 1], of one or of several."""
        owner = f"StyleTransfer.stylize, {what}"
        if len(getattr(images, "shape", ())) == 3:
            images = images[None]
        self.find_range(images, some_of_many=True, owner=owner)
        least = 4 * self.factor
        if min(images.shape[1:3]) < least:
            raise ValueError(
                f"{owner}: pictures must have sides of at least {least} pixels; got "
                f"{images.shape[1]}x{images.shape[2]}."
            )
        return ops.convert_to_numpy(self.to_network(images))

    # === As a SavedModel ===
    def served_layers(self):
        """Encoder and averaged decoder."""
        return [self.encoder, self.average]

    def serving_signature(self):
        """`images` and `styles`, uint8 `(N, height, width, channels)`, and `strength`, float32 `(N,)`."""
        import tensorflow as tf

        shape = [None, *self.image_shape]
        return [
            tf.TensorSpec(shape, tf.uint8, name="images"),
            tf.TensorSpec(shape, tf.uint8, name="styles"),
            tf.TensorSpec([None], tf.float32, name="strength"),
        ]

    def serve(self, images, styles, strength):
        """`{"images": uint8 pictures}`, each in the style of its own."""
        statistics = self.style_statistics({"images": self.to_network(styles)})
        inputs = {"images": self.to_network(images), "statistics": statistics, "strength": strength}
        return {"images": pixels.to_uint8(self.restyled(inputs))}


def _shares(weights, count):
    weights = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(weights) != count or min(weights, default=-1.0) < 0.0 or not sum(weights) > 0.0:
        raise ValueError(
            f"StyleTransfer.stylize: weights must be {count} numbers of at least 0, one a style, and not all 0; got "
            f"{weights}."
        )
    return [weight / sum(weights) for weight in weights]


def _repeated(rows, count):
    return rows if len(rows) == count else np.broadcast_to(rows, (count, *rows.shape[1:]))


def _grey(images):
    """Luminance of pictures, the same in all three channels."""
    return np.repeat((images @ _LUMINANCE)[..., None], 3, axis=-1)


def _like(images, others):
    """Grey pictures with the mean and the deviation of others, row by row."""
    mean, deviation = images.mean(axis=(1, 2, 3), keepdims=True), images.std(axis=(1, 2, 3), keepdims=True)
    factor = others.std(axis=(1, 2, 3), keepdims=True) / np.maximum(deviation, 1e-3)
    return (images - mean) * factor + others.mean(axis=(1, 2, 3), keepdims=True)
