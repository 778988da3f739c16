"""Pictures with captions on their way into a model: the half that every model of words and pictures shares."""

from __future__ import annotations

import keras
from keras import ops

from kgen.models import pixels
from kgen.models.caption_intake import CaptionIntake, as_dicts, caption_lists
from kgen.models.image_model import ImageModel
from kgen.text import CaptionBatches, FeatureStandardization, TextEncoder


class CaptionedModel(ImageModel):
    """Base of the models that `fit` on captioned pictures.

    Captions become features of a text encoder: of a frozen one each caption's are computed once and kept; a trainable
    one learns with the model. They are standardized over the training captions.

    A subclass gives `phases()`, whose losses see `images` in [-1, 1] and what `encoded` takes.

    Args:
        text_encoder: a `kgen.text.TextEncoder`, or whatever `TextEncoder.of` takes.
        image_shape: `(height, width, channels)` of the pictures.
        sequence_length: tokens to a caption; longer ones are cut. None: the encoder's own, at most 32.
        seed: integer or None; where training's random numbers begin.
        cleaner: a `kgen.text.PromptCleaner` for the captions; None: white space and spelling only.

    Raises:
        TypeError: if there is no text encoder in `text_encoder`.
        ValueError: if the text encoder cannot take `sequence_length` tokens.

    Example:

    ```python
    issubclass(kgen.models.TextToImage, kgen.models.captioned_model.CaptionedModel)     # True
    ```
    """

    def __init__(self, text_encoder, image_shape, sequence_length=None, seed=None, cleaner=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        encoder = TextEncoder.of(text_encoder, sequence_length)
        self.image_shape = tuple(image_shape)
        # === Layers ===
        self.text_encoder = encoder
        self.standardize_pooled = FeatureStandardization(name="standardize_pooled")
        self.standardize_tokens = FeatureStandardization(name="standardize_tokens")
        self.standardize_pooled.build((None, encoder.pooled_dim))
        self.standardize_tokens.build((None, None, encoder.token_dim))
        standards = self.standardize_pooled, self.standardize_tokens
        self.intake = CaptionIntake(type(self).__name__, encoder, *standards, cleaner)

    # === What the losses see ===
    def prepare(self, x, y=None):
        """The batch that losses see: images in [-1, 1] with features or tokens of their captions."""
        return {**x, "images": self.to_network(x["images"])}

    def encoded(self, features, training=False):
        """Standardized features of captions: `pooled`, `tokens`, zero after the last one, and `mask`.

        Args:
            features: dict of `pooled`, `tokens` and `mask`, or of the text encoder's own inputs.
            training: whether a trainable text encoder is in training.
        """
        if "token_ids" in features:
            features = self.text_encoder(features, training=training)
        mask = ops.cast(features["mask"], "bool")
        tokens = self.standardize_tokens(features["tokens"])
        return {
            "pooled": self.standardize_pooled(features["pooled"]),
            "tokens": tokens * ops.cast(mask, tokens.dtype)[..., None],
            "mask": mask,
        }

    # === What comes in ===
    def fit(
        self,
        x=None,
        y=None,
        *,
        batch_size=None,
        validation_data=None,
        shuffle=True,
        caption_cache=None,
        **kwargs,
    ):
        """Trains on captioned pictures.

        Args:
            x: what `kgen.data` loads; or pictures `(N, H, W, C)` with `y` their captions; or a dict of `images` and
                `captions`; or a `tf.data.Dataset` of batches of such dicts; or either with features computed before
                (`images`, `pooled`, `tokens`, `mask`).
            y: N captions, each a string or a list of strings of which every epoch draws one.
            batch_size: pictures a step; 32 by default. A dataset has its own.
            validation_data: like `x`, or `(x, y)`.
            shuffle: whether to shuffle arrays anew each epoch.
            caption_cache: directory to keep caption features in, for sets too large for memory.
            **kwargs: as of `keras.Model.fit`.

        Raises:
            TypeError: if a caption is no string, or pictures are no array of uint8 or float.
            ValueError: if there are fewer captions than pictures, or pictures of another shape or range.
        """
        data, batched = self._training_data(x, y, batch_size, shuffle, caption_cache)
        if validation_data is not None:
            others = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
            validation_data = self._training_data(*others, batch_size, False, caption_cache)[0]
        if batched:
            shuffle, batch_size = False, None
        return super().fit(data, validation_data=validation_data, batch_size=batch_size, shuffle=shuffle, **kwargs)

    def evaluate(self, x=None, y=None, *, batch_size=None, **kwargs):
        """The losses on captioned pictures, with nothing trained; `x` and `y` as for `fit`."""
        if "_use_cached_eval_dataset" not in kwargs:
            x, batched = self._training_data(x, y, batch_size, False, None)
            batch_size = None if batched else batch_size
        return super().evaluate(x, batch_size=batch_size, **kwargs)

    def train_on_batch(self, x, y=None, **kwargs):
        """One training step on captioned pictures; `x` and `y` as for `fit`, arrays only."""
        return super().train_on_batch(self._one_batch(x, y), **kwargs)

    def test_on_batch(self, x, y=None, **kwargs):
        """The losses on one batch of captioned pictures."""
        return super().test_on_batch(self._one_batch(x, y), **kwargs)

    def _one_batch(self, x, y):
        data, batched = self._training_data(x, y, len(x["images"] if isinstance(x, dict) else x), False, None)
        return data[0] if batched else data

    def _training_data(self, x, y, batch_size, shuffle, cache):
        """`(what keras.Model.fit is given, whether it is in batches)`."""
        self.text_encoder.build_preprocessor()
        if hasattr(x, "captions") and hasattr(x, "images"):
            x, y = x.images, x.captions
        if isinstance(x, dict) and "captions" in x:
            x, y = x["images"], x["captions"]
        if hasattr(x, "element_spec"):
            x = as_dicts(type(self).__name__, x)
            self.examine(x)
            return self.intake.dataset(x, cache), True
        if isinstance(x, dict) or isinstance(x, keras.utils.PyDataset):
            self.examine(x)
            return x, isinstance(x, keras.utils.PyDataset)
        pixels.pixel_range(type(self).__name__, x, self.image_shape)
        captions = self.intake.cleaned(caption_lists(type(self).__name__, x, y))
        table = self.intake.table([caption for each in captions for caption in each], cache)
        return CaptionBatches(x, captions, table, batch_size or 32, shuffle, self.seed or 0, self._steps_done), True

    @staticmethod
    def _look_at(x, y):
        # All pictures, not the first batch: it may lack the negative values that tell [-1, 1] from [0, 1].
        return (x.images, {}) if isinstance(x, CaptionBatches) else ImageModel._look_at(x, y)

    def _steps_done(self):
        return int(ops.convert_to_numpy(self.optimizer.iterations)) if self.compiled else 0

    # === Config ===
    def get_config(self):
        return {
            **super().get_config(),
            "text_encoder": keras.saving.serialize_keras_object(self.text_encoder),
            "image_shape": self.image_shape,
        }
