"""What a model of captioned pictures is given to train on, made ready: captions become features, or tokens."""

from __future__ import annotations

import numpy as np
from keras import ops

from kgen.text import CaptionFeatures, CaptionTokens, attach_features

# A few thousand captions settle a mean and a deviation; all tokens of a large set would not fit in memory.
_CAPTIONS_FOR_STANDARDS = 4096


class CaptionIntake:
    """Encodes captions as they come in, each once; the first ones set the standards of their features.

    Args:
        owner: name of the class that is handed the captions, for errors.
        encoder: a `TextEncoder`. Where it is trainable, captions become tokens, and nothing is standardized.
        standardize_pooled, standardize_tokens: built `FeatureStandardization` layers.
        cleaner: a `PromptCleaner`, or None.
    """

    def __init__(self, owner, encoder, standardize_pooled, standardize_tokens, cleaner=None):
        self.owner = owner
        self.encoder = encoder
        self.cleaner = cleaner
        self.standardize_pooled = standardize_pooled
        self.standardize_tokens = standardize_tokens
        self.features = None

    def table(self, captions, cache=None):
        """`CaptionFeatures` that know these captions, kept in the directory `cache` if given; or `CaptionTokens`."""
        if self.encoder.trainable:
            return CaptionTokens(self.encoder, captions)
        if self.features is None or cache is not None:
            self.features = CaptionFeatures(self.encoder, captions, path=cache)
        else:
            self.features.extend(captions)
        if not float(ops.convert_to_numpy(self.standardize_pooled.adapted)):
            self.set_standards(self.features)
        return self.features

    def cleaned(self, captions):
        """Lists of captions, as the cleaner has them."""
        if self.cleaner is None:
            return captions
        return [self.cleaner.clean(each, self.owner) for each in captions]

    def set_standards(self, table):
        """Adapts the standards to features of captions."""
        rows = np.random.default_rng(0).permutation(len(table))[:_CAPTIONS_FOR_STANDARDS]
        features = table.gather(rows.astype("int32"))
        self.standardize_pooled.adapt(features["pooled"])
        self.standardize_tokens.adapt(features["tokens"][features["mask"]])

    def dataset(self, dataset, cache=None):
        """A `tf.data.Dataset` as `as_dicts` gives it, with features or tokens in place of captions."""
        if "captions" not in dataset.element_spec:
            return dataset
        if dataset.cardinality() == -1:
            raise ValueError(
                f"{self.owner}: an endless dataset has no last caption. Leave out repeat(), and say how often by "
                "epochs."
            )
        if self.cleaner is not None:
            dataset = dataset.map(lambda batch: {**batch, "captions": self.cleaner.clean_tensor(batch["captions"])})
        captions = [caption.decode("utf-8") for batch in dataset.as_numpy_iterator() for caption in batch["captions"]]
        return attach_features(dataset, self.table(captions, cache))


def as_dicts(owner, dataset):
    """A `tf.data.Dataset` of batches as dicts with `images` and either `captions` or features.

    Raises:
        ValueError: if its batches are neither such dicts nor pairs of images and captions.
    """
    spec = dataset.element_spec
    if isinstance(spec, tuple) and len(spec) == 2 and not isinstance(spec[0], dict):
        return dataset.map(lambda images, captions: {"images": images, "captions": captions})
    named = set(spec) if isinstance(spec, dict) else set()
    if not ({"images", "captions"} <= named or {"images", "pooled", "tokens", "mask"} <= named):
        raise ValueError(
            f"{owner}: a dataset must give batches {{'images', 'captions'}}, or {{'images', 'pooled', 'tokens', "
            f"'mask'}}; got {spec}."
        )
    return dataset


def caption_lists(owner, images, captions):
    """For each picture its list of captions.

    Raises:
        ValueError: if there are not as many captions as pictures, or a picture has none.
    """
    if captions is None:
        raise ValueError(f"{owner}: captions are missing; give fit(images, captions), a caption each.")
    captions = [[each] if isinstance(each, (str, bytes)) else each for each in captions]
    if len(captions) != len(images):
        raise ValueError(
            f"{owner}: every picture needs a caption; got {len(images)} pictures and {len(captions)} captions."
        )
    strange = next((each for each in captions if not isinstance(each, (list, tuple, np.ndarray))), None)
    if strange is not None:
        raise TypeError(
            f"{owner}: a caption must be a string, or a list of strings; got {strange!r}, a {type(strange).__name__}."
        )
    without = [i for i, each in enumerate(captions) if len(each) == 0]
    if without:
        raise ValueError(f"{owner}: picture {without[0]} has no caption; {len(without)} have none.")
    return captions
