"""Images with their captions: what every loader of `kgen.data` returns."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgen import checks
from kgen.captions import caption_fault
from kgen.data.captioned_rows import captioned_rows
from kgen.data.pixel_store import copy_rows
from kgen.types import Array, ImageShape

if TYPE_CHECKING:
    import tensorflow as tf


class CaptionedImages:
    """Images of one size, each with one or more captions.

    To train, pass it to `fit`, or take a `tf.data.Dataset` (`as_dataset`) or plain arrays (`arrays`). `data[i]` is the
    image `(H, W, C)` and its list of captions; `data[2:5]` or `data[[7, 1]]` is a smaller `CaptionedImages`.

    Args:
        images: uint8 `(N, H, W, C)`, an `np.ndarray` or `np.memmap`, values 0 to 255.
        captions: N entries, each a string or a list of strings that all describe the image.
        file_names: N strings that say where each image came from. Default: `"0"`, `"1"`, ...
        attributes: N objects with further facts, one per image, or None.
        report: list of strings: the problems that a loader found (skipped files, and why).

    Raises:
        TypeError: images are not a uint8 array, or a caption is not a string.
        ValueError: the rank is wrong, there are no images, lengths do not match, or a caption is empty.

    Example:
        >>> images = np.zeros((3, 32, 32, 3), "uint8")
        >>> data = CaptionedImages(images, ["a cat", ["a dog", "a puppy"], "night"])
        >>> train, test = data.split(1)
        >>> len(train), test.image_shape
        (2, (32, 32, 3))
    """

    def __init__(
        self,
        images: Array,
        captions: Sequence[str | Sequence[str]],
        file_names: Iterable[str] | None = None,
        attributes: Iterable[Any] | None = None,
        report: Iterable[str] = (),
    ):
        self.images = _checked_images(images)
        self.captions = _checked_captions(captions, len(images))
        file_names = [str(i) for i in range(len(images))] if file_names is None else list(file_names)
        attributes = None if attributes is None else list(attributes)
        for name, values in (("file_names", file_names), ("attributes", attributes)):
            if values is not None and len(values) != len(images):
                raise ValueError(
                    f"CaptionedImages: {name} must have one entry per image; got {len(values)} for {len(images)}."
                )
        self.file_names = file_names
        self.attributes = attributes
        self.report = list(report)

    @classmethod
    def from_rows(
        cls,
        rows: Iterable[Mapping[str, Any]],
        image: str = "image",
        text: str = "text",
        image_size: int = 64,
        channels: int = 3,
        background: Any = "white",
        resize: str = "crop",
        verbose: int | str = "auto",
    ) -> CaptionedImages:
        """Captioned images from rows of a table, such as those of Hugging Face `datasets`, parquet, webdataset or TFDS.

        Args:
            rows: dicts.
            image: key of the image in a row. The image, of any size, is a `PIL.Image`, a uint8 array `(H, W)` or
                `(H, W, channels)`, the bytes of an image file, or a dict with `"bytes"` or `"path"`.
            text: key of its caption: a string, UTF-8 bytes, or a list of these.
            image_size, channels, background, resize: as in `kgen.data.captioned_folder`.
            verbose: progress bar: 0: never; 1: always; "auto": after two seconds.

        Raises:
            TypeError, ValueError: for a row with anything else under these keys, which the message names; for no rows.

        Example:
            >>> rows = datasets.load_dataset("lambda/naruto", split="train")  # doctest: +SKIP
            >>> data = CaptionedImages.from_rows(rows, image_size=64)  # doctest: +SKIP
        """
        return cls(*captioned_rows(rows, image, text, image_size, channels, background, resize, verbose))

    @property
    def image_shape(self) -> ImageShape:
        """`(H, W, C)` of every image."""
        return tuple(self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        captions = sum(len(texts) for texts in self.captions)
        return f"<CaptionedImages: {len(self)} images of {self.image_shape}, {captions} captions>"

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, numbers.Integral):
            return self.images[index], self.captions[index]
        return self._rows(np.arange(len(self))[index])

    def _rows(self, rows):
        pick = lambda values: None if values is None else [values[i] for i in rows]  # noqa: E731
        images = copy_rows(self.images, rows)
        return CaptionedImages(
            images, pick(self.captions), pick(self.file_names), pick(self.attributes), report=self.report
        )

    def described(self, expander: Any) -> CaptionedImages:
        """The same images, each with more captions: descriptions that an expander makes from the first caption.

        Prompts should look like the captions of training. Training draws one of an image's captions at random, so the
        model then sees short and long ones.

        Args:
            expander: a `kgen.text.PromptExpander`, or any object with `expand(list of strings)`.

        Example:
            >>> data = data.described(kgen.text.PromptExpander("gpt2_base_en"))  # doctest: +SKIP
        """
        descriptions = expander.expand([texts[0] for texts in self.captions])
        captions = [list(dict.fromkeys([*texts, more])) for texts, more in zip(self.captions, descriptions)]
        return CaptionedImages(self.images, captions, self.file_names, self.attributes, self.report)

    def split(self, test: int | float, seed: int = 0) -> tuple[CaptionedImages, CaptionedImages]:
        """Splits the images at random into a training set and a test set.

        Args:
            test: number of test images (int), or their share (float between 0 and 1).
            seed: integer; the same seed gives the same split.

        Returns:
            `(train, test)`, two `CaptionedImages`; neither is empty.

        Raises:
            ValueError: one of the two would be empty.
        """
        count = round(test * len(self)) if isinstance(test, (float, np.floating)) else test
        if isinstance(test, bool) or not isinstance(count, numbers.Integral) or not 0 < count < len(self):
            raise ValueError(
                f"CaptionedImages.split: test must be a number of images (int) or a share of them (float) that leaves "
                f"at least one of the {len(self)} images on each side; got {test!r}."
            )
        order = np.random.default_rng(seed).permutation(len(self))
        return self._rows(np.sort(order[count:])), self._rows(np.sort(order[:count]))

    def arrays(self, expand: bool = False) -> tuple[Array, list[str]]:
        """The images with one caption each, as plain arrays.

        Args:
            expand: False takes the first caption of each image; True repeats an image for each of its captions.

        Returns:
            `(images, captions)`: uint8 `(M, H, W, C)` and a list of M strings; M is N unless `expand`.
        """
        if not expand:
            return self.images, [texts[0] for texts in self.captions]
        rows = np.repeat(np.arange(len(self)), [len(texts) for texts in self.captions])
        return copy_rows(self.images, rows), [text for texts in self.captions for text in texts]

    def as_dataset(self, batch_size: int = 32, shuffle: bool = True, seed: int = 0) -> tf.data.Dataset:
        """Batches `{"images": uint8 (B, H, W, C), "captions": string (B,)}`; every image once per epoch.

        With `shuffle`, each epoch has a new order and draws one caption of each image anew; both depend on `seed`. In a
        model with captions they also depend on the epoch number, so a resumed training sees the same data as an
        uninterrupted one. This holds only for the dataset itself, not after `map` and the like. Without `shuffle` (for
        validation), images keep their order and their first caption. The last batch may be smaller.

        Args:
            batch_size: images per batch.
            shuffle: whether to shuffle the images and draw random captions.
            seed: integer.

        Returns:
            A `tf.data.Dataset` of known length.

        Raises:
            ImportError: TensorFlow is not installed; use `arrays()`.
            ValueError: `batch_size` is not an integer of at least 1.
        """
        batch_size = checks.integer("CaptionedImages.as_dataset", "batch_size", batch_size)
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError(
                "CaptionedImages.as_dataset: a tf.data.Dataset needs TensorFlow, which is not installed. "
                "Run `pip install tensorflow`, or train on `arrays()`."
            ) from error
        counts = np.array([len(texts) for texts in self.captions], "int64")
        # On the host: strings cannot leave it, and pixels go to the device one batch at a time.
        with tf.device("cpu"):
            texts = tf.constant([text for texts in self.captions for text in texts])
            first = tf.constant(np.cumsum(counts) - counts)
            counts = tf.constant(counts)

        rows = tf.data.Dataset.range(len(self))
        draws = tf.data.Dataset.from_tensors(tf.zeros((), "int64")).repeat()
        if shuffle:
            rows = rows.shuffle(len(self), seed=seed, reshuffle_each_iteration=True)
            draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)

        def load(rows, draws):
            images = tf.numpy_function(lambda rows: np.asarray(self.images[rows]), [rows], "uint8", stateful=False)
            images.set_shape((None, *self.image_shape))
            text = tf.gather(texts, tf.gather(first, rows) + draws % tf.gather(counts, rows))
            return {"images": images, "captions": text}

        batches = tf.data.Dataset.zip((rows, draws)).batch(batch_size)
        # Hosts of a `tf.distribute` strategy take parts of the same batches: there are no files to split.
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        batches = batches.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
        dataset = batches.with_options(options)
        # For models with captions: a dataset does not know how many epochs came before.
        dataset.drawn_from = {"data": self, "batch_size": batch_size, "shuffle": shuffle, "seed": seed}
        return dataset


def _checked_images(images):
    dtype, shape = getattr(images, "dtype", None), getattr(images, "shape", None)
    if not isinstance(images, np.ndarray):
        raise TypeError(
            f"CaptionedImages: images must be a NumPy array (N, height, width, channels) of uint8; "
            f"got {type(images).__name__}. Use `np.asarray`, or `np.stack` for a list of images of one size."
        )
    if dtype != np.uint8:
        span = (
            f" with values from {images.min()} to {images.max()}" if images.size and images.dtype.kind in "fiu" else ""
        )
        raise TypeError(
            f"CaptionedImages: images must be uint8, 0 to 255; got {dtype}{span}. "
            "From [0, 1]: `(images * 255).round().astype('uint8')`."
        )
    if len(shape) != 4:
        raise ValueError(
            f"CaptionedImages: images must have the shape (N, height, width, channels); got {tuple(shape)}."
            + (" Add the channel axis with `images[..., None]`." if len(shape) == 3 else "")
        )
    if 0 in shape:
        raise ValueError(f"CaptionedImages: there must be at least one image with pixels; got the shape {shape}.")
    return images


def _checked_captions(captions, expected):
    if isinstance(captions, (str, bytes)) or not hasattr(captions, "__len__"):
        raise TypeError(
            f"CaptionedImages: captions must be a list with a string, or a list of strings, per image; "
            f"got {type(captions).__name__}."
        )
    if len(captions) != expected:
        raise ValueError(
            f"CaptionedImages: there must be as many captions as images; got {len(captions)} captions for {expected} "
            "images. Put several captions of one image in a list."
        )
    checked = []
    for i, texts in enumerate(captions):
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, (list, tuple, np.ndarray)):
            raise TypeError(
                f"CaptionedImages: the captions of image {i} must be a string or a list of strings; got {texts!r}."
            )
        for text in texts:
            if not isinstance(text, str):
                raise TypeError(
                    f"CaptionedImages: each caption of image {i} must be a string; got {type(text).__name__} {text!r}."
                )
        fault = next(filter(None, map(caption_fault, texts)), "") if len(texts) else "empty caption"
        if fault:
            raise ValueError(
                f"CaptionedImages: a caption of image {i} is wrong: {fault} ({list(texts)!r}). Describe the image or "
                "leave it out."
            )
        checked.append([str(text) for text in texts])
    return checked
