"""The input of images with captions: captions become features of a text encoder, or tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.inputs.caption_loader import InOrder, LoadedCaptions, is_loader
from kgen.inputs.image_input import ImageInput
from kgen.progress import silent
from kgen.text import (
    CaptionBatches,
    CaptionFeatures,
    CaptionTokens,
    FeatureStandardization,
    PromptCleaner,
    TextEncoder,
    attach_features,
    clean_prompts,
)
from kgen.types import Tensor, ValueRange, Verbose

# A few thousand captions are enough for a mean and a deviation; all tokens of a large set would not fit in memory.
_CAPTIONS_FOR_STANDARDS = 4096


class CaptionInput(ImageInput):
    """The input of a model that learns from captioned images.

    A frozen text encoder reads each caption once, and its features are kept. The captions of the first training set the
    mean and deviation by which all features are standardized. For a trainable encoder captions become tokens, and
    nothing is standardized.

    Args:
        owner, image_shape, float_scale: as in `ImageInput`.
        encoder: a `TextEncoder`.
        standardize_pooled, standardize_tokens: layers that `feature_standards` made.
        cleaner: a `PromptCleaner` for the captions, or None.
        seed: integer, for the order of the images and the choice among an image's captions.
        steps_done: function that gives the number of training steps made so far.
        space: as in `ImageInput`.

    Example:

    ```python
    batches = model.image_input.opened(images, captions, batch_size=32, shuffle=True)
    model.image_input.encoded(batches[0])["pooled"]         # standardized, (32, pooled_dim)
    ```
    """

    options = ("caption_cache", "validation_split")

    def __init__(
        self,
        owner: str,
        image_shape: tuple,
        float_scale: keras.Variable,
        encoder: TextEncoder,
        standardize_pooled: FeatureStandardization,
        standardize_tokens: FeatureStandardization,
        cleaner: PromptCleaner | None = None,
        seed: int = 0,
        steps_done: Callable[[], int] = lambda: 0,
        space: Any = None,
    ):
        super().__init__(owner, image_shape, float_scale, space=space)
        self.encoder = encoder
        self.standardize_pooled = standardize_pooled
        self.standardize_tokens = standardize_tokens
        self.cleaner = cleaner
        self.seed = seed
        self.steps_done = steps_done
        self.features: CaptionFeatures | None = None
        # The captions read last; and those of the training, None if its data came with features.
        self._read: list[str] | None = None
        self.learned: list[str] | None = None

    @classmethod
    def of(cls, model: Any) -> CaptionInput:
        """The input of a model with a `text_encoder`, `standardize_pooled`, `standardize_tokens` and a `space`."""
        encoder, standards = model.text_encoder, (model.standardize_pooled, model.standardize_tokens)
        options: Any = getattr(model, "prompt_cleaner", None), (model.seed or 0) % 2**32, model.steps_done, model.space
        return cls(type(model).__name__, model.image_shape, model.float_scale, encoder, *standards, *options)

    # === What the losses see ===
    def batch(self, x: Any, y: Any = None) -> dict[str, Tensor]:
        """The batch that losses see: `images` as networks see them, with features or tokens of their captions."""
        return {**x, "images": self.in_space(x["images"])}

    def encoded(self, features: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Standardized features of captions: `pooled`, and if given `tokens` (zero after the last one) and `mask`.

        Args:
            features: dict of `pooled`, `tokens` and `mask`, or of the text encoder's own inputs.
            training: whether a trainable text encoder is in training.
        """
        if "token_ids" in features:
            features = self.encoder(features, training=training)
        pooled = self.standardize_pooled(features["pooled"])
        if "tokens" not in features:
            return {"pooled": pooled}
        mask = ops.cast(features["mask"], "bool")
        tokens = self.standardize_tokens(features["tokens"])
        return {"pooled": pooled, "tokens": tokens * ops.cast(mask, tokens.dtype)[..., None], "mask": mask}

    def withheld(
        self, condition: dict[str, Tensor], share: float, seed: keras.random.SeedGenerator
    ) -> dict[str, Tensor]:
        """Standardized features, with a random share of the captions emptied."""
        pooled, tokens = condition["pooled"], condition["tokens"]
        kept = keras.random.uniform((ops.shape(pooled)[0], 1), seed=seed) >= share
        return {
            "pooled": pooled * ops.cast(kept, pooled.dtype),
            "tokens": tokens * ops.cast(kept, tokens.dtype)[..., None],
            "mask": ops.logical_and(condition["mask"], kept),
        }

    # === What comes in ===
    def for_training(
        self,
        x,
        y,
        validation_data,
        batch_size,
        shuffle,
        value_range=None,
        latent_cache=None,
        caption_cache=None,
        validation_split=0.0,
    ):
        """The arguments of `keras.Model.fit` for captioned images; see `TextToImage.fit`."""
        x = self._to_learn(x, y, batch_size, shuffle, caption_cache)
        self._learn_standards()
        if validation_data is not None:
            others = validation_data if isinstance(validation_data, tuple) else (validation_data, None)
            validation_data = self.opened(*others, batch_size, False, caption_cache)
        options = *_keras_batches(x, batch_size, shuffle), value_range, latent_cache
        data = super().for_training(x, None, validation_data, *options)
        if not validation_split or validation_data is not None:
            return data
        if not isinstance(x, CaptionBatches):
            # Keras splits features in arrays, and refuses all else.
            return {**data, "validation_split": validation_split}
        train, held_out = data["x"].split(f"{self.owner}.fit", validation_split)
        self._validation = (held_out, None)
        return {**data, "x": train, "validation_data": held_out}

    def for_evaluation(self, x, y, batch_size, value_range=None):
        """The arguments of `keras.Model.evaluate` for captioned images."""
        if self.is_validation(x, y):
            return {"x": x, "y": y, "batch_size": batch_size}
        x = self.opened(x, y, batch_size, False)
        return super().for_evaluation(x, None, _keras_batches(x, batch_size, False)[0], value_range)

    def for_step(self, x, y, value_range=None):
        """One batch of captioned images, from arrays."""
        x = self._to_learn(x, y, len(x["images"] if isinstance(x, dict) else x), False)
        return super().for_step(x[0] if isinstance(x, CaptionBatches) else x, None, value_range)

    def opened_arrays(
        self, owner: str, x: Any, y: Any, batch_size: int, cache: Any, value_range: ValueRange, verbose: Verbose
    ) -> tuple[CaptionBatches, tuple[int, int]]:
        """Captioned images in arrays, unshuffled, and the range of the images, for what is fitted after training.

        Raises:
            TypeError: for a dataset or a generator; errors begin with `owner`.
        """
        with silent(verbose):
            batches = self.opened(x, y, batch_size, False, cache)
        if not isinstance(batches, CaptionBatches):
            raise TypeError(f"{owner}: pass images and captions as arrays and lists, or data loaded by kgen.data.")
        if batches.shuffle:
            # From `CaptionedImages.as_dataset`, which shuffles.
            batches = batches.beside(batches.images, slice(None), batch_size, False)
        return batches, self.range_of(batches.images, owner, value_range=value_range)

    def opened(self, x: Any, y: Any, batch_size: int | None, shuffle: bool, cache: Any = None) -> Any:
        """Captioned images as Keras reads them: `CaptionBatches`, a dataset with features, or other data with them."""
        self.encoder.build_preprocessor()
        if isinstance(x, CaptionBatches):
            self._read = x.table.vocabulary
            return x
        seed = self.seed
        if hasattr(x, "drawn_from"):
            # From `CaptionedImages.as_dataset`, which would start again with its first order when training resumes.
            x, batch_size, shuffle, seed = (x.drawn_from[name] for name in ("data", "batch_size", "shuffle", "seed"))
        if hasattr(x, "captions") and hasattr(x, "images"):
            x, y = x.images, x.captions
        if isinstance(x, dict) and "captions" in x:
            x, y = x["images"], x["captions"]
        elif isinstance(x, dict) and set(x) == {"images"}:
            x = x["images"]
        if hasattr(x, "element_spec"):
            x = as_dicts(self.owner, x)
            # Wrong images should raise before thousands of captions are encoded.
            super().check(x)
            return self.dataset(x, cache)
        if isinstance(x, keras.utils.PyDataset) and InOrder.has_captions(x):
            x = InOrder(x)
        if isinstance(x, (dict, keras.utils.PyDataset)):
            return x
        if hasattr(x, "__next__"):
            raise ValueError(
                f"{self.owner}: a generator yields its batches only once, but all captions are read before training. "
                "Pass a DataLoader, a tf.data.Dataset, or arrays."
            )
        if y is None and is_loader(x):
            return LoadedCaptions(self.owner, x, self._cleaned, lambda captions: self.table(captions, cache))
        super().check(x)
        captions = [self._cleaned(each) for each in caption_lists(self.owner, x, y)]
        table = self.table([caption for each in captions for caption in each], cache)
        return CaptionBatches(x, captions, table, batch_size or 32, shuffle, seed, self.steps_done)

    def _to_learn(self, *data):
        self._read = None
        opened, self.learned = self.opened(*data), self._read
        return opened

    def _cleaned(self, captions):
        return captions if self.cleaner is None else self.cleaner.clean(captions, self.owner)

    def stored(self, x, found, training, cache=None):
        """As in `ImageInput`; `CaptionBatches` become batches of latents."""
        if not isinstance(x, CaptionBatches) or self.latents is None:
            return super().stored(x, found, training, cache)
        latents = super().stored(x.images, found, training, cache)
        return x.beside(latents, slice(None), x.batch_size, x.shuffle, x.seed, x.steps_done)

    def check(self, x, y=None, value_range=None):
        """As in `ImageInput`; checks all images of `CaptionBatches`, because one batch may not show the range."""
        return super().check(x.images if isinstance(x, CaptionBatches) else x, y, value_range)

    def table(self, captions: list[str], cache: Any = None) -> CaptionFeatures | CaptionTokens:
        """`CaptionFeatures` of these captions, kept in the directory `cache` if given; or `CaptionTokens`."""
        self._read = captions
        if self.encoder.trainable:
            # What it has read while frozen will not be what it reads after training.
            self.features = None
            return CaptionTokens(self.encoder, captions)
        if self.features is None or cache is not None:
            self.features = CaptionFeatures(self.encoder, captions, path=cache)
        else:
            self.features.extend(captions)
        return self.features

    def learn_standards(self, x: Any, owner: str) -> None:
        """As in `ImageInput`; and adapts the standardization to features of the training captions, once."""
        super().learn_standards(x, owner)
        self._learn_standards()

    def _learn_standards(self):
        if self.learned and self.features is not None and not ops.convert_to_numpy(self.standardize_pooled.adapted):
            self.set_standards(self.features, self.learned)

    def set_standards(self, table: CaptionFeatures, captions: list[str]) -> None:
        """Adapts the standardization to features of captions."""
        rows = np.random.default_rng(0).permutation(np.unique(table.index(captions)))[:_CAPTIONS_FOR_STANDARDS]
        features = table.gather(rows)
        self.standardize_pooled.adapt(features["pooled"])
        self.standardize_tokens.adapt(features["tokens"][features["mask"]])

    def dataset(self, dataset: Any, cache: Any = None) -> Any:
        """A `tf.data.Dataset` as `as_dicts` gives it, with features or tokens in place of captions."""
        if "captions" not in dataset.element_spec:
            return dataset
        if dataset.cardinality() == -1:
            raise ValueError(
                f"{self.owner}: the dataset is endless, but all captions are read before training. Remove repeat() and "
                "set epochs instead."
            )
        cleaner = self.cleaner
        if cleaner is not None:
            dataset = dataset.map(lambda batch: {**batch, "captions": cleaner.clean_tensor(batch["captions"])})
        captions: dict[str, None] = {}
        for i, batch in enumerate(dataset.as_numpy_iterator()):
            captions.update(dict.fromkeys(clean_prompts(batch["captions"], f"{self.owner}: batch {i} of the dataset")))
        return attach_features(dataset, self.table(list(captions), cache))


def feature_standards(encoder: TextEncoder) -> tuple[FeatureStandardization, FeatureStandardization]:
    """Built layers that standardize the pooled and the token features of a text encoder."""
    pooled, tokens = (FeatureStandardization(name=f"standardize_{name}") for name in ("pooled", "tokens"))
    pooled.build((None, encoder.pooled_dim))
    tokens.build((None, None, encoder.token_dim))
    return pooled, tokens


def as_dicts(owner: str, dataset: Any) -> Any:
    """A `tf.data.Dataset` of batches as dicts with `images` and either `captions` or features.

    Raises:
        TypeError: if captions are not strings.
        ValueError: if its batches are neither such dicts nor pairs of images and captions.
    """
    spec = dataset.element_spec
    if isinstance(spec, tuple) and len(spec) == 2 and not isinstance(spec[0], dict):
        dataset = dataset.map(lambda images, captions: {"images": images, "captions": captions})
        spec = dataset.element_spec
    named = set(spec) if isinstance(spec, dict) else set()
    if not ({"images", "captions"} <= named or {"images", "pooled", "tokens", "mask"} <= named):
        raise ValueError(
            f"{owner}: a dataset must give batches {{'images', 'captions'}}, or {{'images', 'pooled', 'tokens', "
            f"'mask'}}; got {spec}."
        )
    captions = spec.get("captions")
    if captions is not None and captions.dtype != "string":
        raise TypeError(
            f"{owner}: captions must be strings; the dataset gives {captions.dtype.name}. For class numbers, use a GAN "
            "or VAE with num_classes, or map them to names first."
        )
    if captions is not None and len(captions.shape) > 1:
        raise ValueError(
            f"{owner}: a dataset must give one caption for each image; got captions of shape {captions.shape}."
        )
    return dataset


def caption_lists(owner: str, images: Any, captions: Any) -> list:
    """A list of cleaned captions for each image.

    Raises:
        TypeError: if a caption is neither a string nor a list of strings.
        ValueError: if there are not as many captions as images, or an image has none, or an empty one.
    """
    if captions is None:
        raise ValueError(f"{owner}: captions are missing; call fit(images, captions) with a caption for each image.")
    captions = [[each] if isinstance(each, (str, bytes)) else each for each in captions]
    if len(captions) != len(images):
        raise ValueError(
            f"{owner}: every image needs a caption; got {len(images)} images and {len(captions)} captions."
        )
    strange = next((each for each in captions if not isinstance(each, (list, tuple, np.ndarray))), None)
    if strange is not None:
        raise TypeError(
            f"{owner}: a caption must be a string, or a list of strings; got {strange!r}, a {type(strange).__name__}."
        )
    without = [i for i, each in enumerate(captions) if len(each) == 0]
    if without:
        raise ValueError(f"{owner}: image {without[0]} has no caption; {len(without)} images have none.")
    return [clean_prompts(each, f"{owner}: image {i}") for i, each in enumerate(captions)]


def _keras_batches(data, batch_size, shuffle):
    """`(batch_size, shuffle)` as Keras wants them: data in batches has its own."""
    batched = hasattr(data, "element_spec") or isinstance(data, keras.utils.PyDataset)
    return (None, False) if batched else (batch_size, shuffle)
