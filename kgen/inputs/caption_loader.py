"""Captioned batches from loaders of PyTorch, of grain or of your own, with features in place of captions."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from kgen.text import CaptionFeatures, CaptionTokens, clean_prompts
from kgen.types import Array


class LoadedCaptions(keras.utils.PyDataset):
    """Batches `{"images", **features}` from a loader that gives pairs, or dicts, of images and captions.

    One pass over the loader before training collects its captions, so that a frozen text encoder reads each only once.
    A caption that first appears later is read then. The loader sets the order of the images.

    Args:
        owner: class that errors name.
        loader: gives its batches each time it is iterated over: a `torch.utils.data.DataLoader`, or a batched dataset
            of grain; `InOrder` of a `keras.utils.PyDataset`.
        clean: function from a list of captions to their cleaned versions.
        table: function from a list of captions to `CaptionFeatures` or `CaptionTokens` that know them.

    Raises:
        TypeError: if captions are not strings.
        ValueError: if a batch does not have as many captions as images, there are no batches, or the loader is endless.

    Example:

    ```python
    loader = torch.utils.data.DataLoader(rows, batch_size=32, shuffle=True)     # of dicts of images and captions
    model.fit(loader, epochs=10)
    ```
    """

    def __init__(
        self,
        owner: str,
        loader: Any,
        clean: Callable[[list[str]], list[str]],
        table: Callable[[list[str]], CaptionFeatures | CaptionTokens],
    ):
        super().__init__()
        self.owner = owner
        self.loader = loader
        self.clean = clean
        length = getattr(type(loader), "__len__", None)
        if length is not None and _length(loader) >= sys.maxsize:
            raise ValueError(
                f"{owner}: the loader is endless, but all captions are read before training. Remove repeat() and set "
                "epochs instead."
            )
        captions: dict[str, None] = {}
        self.count = 0
        for _, texts in self._read():
            captions.update(dict.fromkeys(texts))
            self.count += 1
        if not self.count:
            raise ValueError(f"{owner}: the loader gives no batches.")
        self.table = table(list(captions))
        self._coming: Iterator[tuple[Array, list[str]]] = iter(())
        # Number of the batch that `_coming` gives next.
        self._next = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Array]:
        if index == 0 or index != self._next:
            self._coming = itertools.islice(self._read(), index, None)
        self._next = index + 1
        images, captions = next(self._coming, (None, None))
        if images is None or captions is None:
            self._coming = self._read()
            images, captions = next(self._coming)
        self.table.extend(captions)
        return {"images": images, **self.table.gather(self.table.index(captions))}

    def on_epoch_begin(self) -> None:
        """Tells a `PyDataset`."""
        if isinstance(self.loader, InOrder):
            self.loader.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tells a `PyDataset`, which may shuffle."""
        if isinstance(self.loader, InOrder):
            self.loader.batches.on_epoch_end()

    def _read(self) -> Iterator[tuple[Array, list[str]]]:
        for number, batch in zip(itertools.count(), self.loader):
            images, captions = self._parts(batch, number)
            yield images, self.clean(captions)

    def _parts(self, batch: Any, number: int) -> tuple[Array, list[str]]:
        where = f"{self.owner}: batch {number} of the loader"
        if isinstance(batch, dict) and {"images", "captions"} <= set(batch):
            batch = batch["images"], batch["captions"]
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            got = sorted(map(str, batch)) if isinstance(batch, dict) else type(batch).__name__
            raise ValueError(
                f"{where} must be a pair of images and captions, or a dict of 'images' and 'captions'; got {got}."
            )
        images, captions = np.asarray(batch[0]), clean_prompts(batch[1], where)
        if images.ndim != 4 or len(images) != len(captions):
            raise ValueError(
                f"{where} must have a caption for each of its images (N, height, width, channels); got {len(captions)} "
                f"captions and images of shape {images.shape}."
            )
        return images, captions


class InOrder:
    """The batches of a `keras.utils.PyDataset`, in order, as a loader for `LoadedCaptions`."""

    def __init__(self, batches: keras.utils.PyDataset):
        self.batches = batches

    @staticmethod
    def has_captions(batches: keras.utils.PyDataset) -> bool:
        """Whether its first batch has captions, not features."""
        first = batches[0]
        if isinstance(first, dict):
            return "captions" in first
        if not isinstance(first, (tuple, list)) or len(first) != 2 or isinstance(first[1], dict) or first[1] is None:
            return False
        return any(isinstance(each, (str, bytes, list, tuple)) for each in list(first[1])[:1])

    def __len__(self) -> int:
        return sys.maxsize if self.batches.num_batches is None else self.batches.num_batches

    def __iter__(self) -> Iterator[Any]:
        return (self.batches[number] for number in range(len(self)))


def is_loader(data: Any) -> bool:
    """Whether data are something that gives batches each time it is iterated over."""
    return hasattr(data, "__iter__") and not (
        hasattr(data, "shape") or hasattr(data, "__next__") or isinstance(data, (str, bytes, list, tuple, dict))
    )


def _length(loader):
    try:
        return len(loader)
    except TypeError:
        # A loader of PyTorch whose dataset has no length.
        return 0
