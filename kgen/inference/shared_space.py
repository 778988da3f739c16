"""Uses of image and text vectors in one space: similarity, classification, retrieval, captions."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgen import checks
from kgen.inference.classify import named
from kgen.text import clean_prompts
from kgen.types import Array, Verbose


class SharedSpace:
    """Similarity, zero-shot classification, retrieval and captioning by retrieval, all by cosines.

    `kgen.models.DualEncoder` has methods with the same names, which explain the arguments.

    Args:
        model: has `encode_images(images, batch_size, verbose)` and `encode_texts(texts, batch_size, verbose)`, which
            return unit vectors `(N, embedding_dim)`; `embedding_dim`; and `temperature`: logits are cosines divided by
            it.
    """

    def __init__(self, model: Any):
        self.model = model
        self.owner = type(model).__name__

    def similarity(self, images: Any, texts: Any, batch_size: int = 64, verbose: Verbose = "auto") -> Array:
        """Cosines `(images, texts)` of each image with each text."""
        owner = f"{self.owner}.similarity"
        return self.vectors(images, owner, batch_size, verbose) @ self.vectors(texts, owner, batch_size, verbose).T

    def classify(
        self,
        images: Any,
        class_names: Any,
        template: Any = "a picture of {}",
        top: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> Any:
        """Probabilities of classes, from their names alone."""
        owner = f"{self.owner}.classify"
        names = clean_prompts(class_names, owner)
        if len(set(names)) < max(2, len(names)):
            raise ValueError(f"{owner}: class_names must be at least two different strings; got {names}.")
        templates = [template] if isinstance(template, str) else list(template)
        if not templates or not all(isinstance(each, str) and "{}" in each for each in templates):
            raise ValueError(f"{owner}: a template must be a string with {{}} for the name; got {template!r}.")
        texts = [each.replace("{}", name) for each in templates for name in names]
        vectors = self.model.encode_texts(texts, batch_size, verbose)
        vectors = vectors.reshape(len(templates), len(names), -1).sum(axis=0)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        # The bias is the same for all names, so it cancels.
        logits = self.vectors(images, owner, batch_size, verbose) @ vectors.T / self.model.temperature
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return named(owner, shares / shares.sum(axis=1, keepdims=True), names, top)

    def retrieve(
        self,
        query: Any,
        bank: Any,
        top: int = 5,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        method: str = "retrieve",
    ) -> tuple[Array, Array]:
        """Indices and cosines of the entries of a bank that are nearest to a query."""
        owner = f"{self.owner}.{method}"
        top = checks.integer(owner, "top", top)
        queries = self.vectors(query, owner, batch_size, verbose)
        cosines = queries @ self.vectors(bank, owner, batch_size, verbose).T
        indices = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
        cosines = np.take_along_axis(cosines, indices, axis=1)
        return (indices[0], cosines[0]) if _is_single(query) else (indices, cosines)

    def caption(self, images: Any, bank: Any, top: int = 1, batch_size: int = 64, verbose: Verbose = "auto") -> Any:
        """The texts of a bank that are nearest to images."""
        texts = clean_prompts(bank, f"{self.owner}.caption")
        indices, _ = self.retrieve(images, texts, top, batch_size, verbose, "caption")
        chosen: list = [[texts[i] for i in row] for row in np.atleast_2d(indices)]
        chosen = [row[0] for row in chosen] if top == 1 else chosen
        return chosen[0] if _is_single(images) else chosen

    def vectors(self, what: Any, owner: str, batch_size: int, verbose: Verbose) -> Array:
        """Vectors `(N, embedding_dim)` of texts or images; vectors stay as they are.

        Raises:
            TypeError: for anything else.
            ValueError: for vectors of another length.
        """
        what = getattr(what, "images", what)
        if isinstance(what, str):
            what = [what]
        if isinstance(what, (list, tuple)):
            return self.model.encode_texts(what, batch_size, verbose)
        rank, length = len(getattr(what, "shape", ())), self.model.embedding_dim
        if rank == 2:
            if what.shape[1] != length:
                raise ValueError(f"{owner}: vectors must have length {length}; got shape {tuple(what.shape)}.")
            return np.asarray(what, "float32")
        if rank not in (3, 4):
            raise TypeError(
                f"{owner}: expected texts, images (N, height, width, channels), or vectors (N, {length}); got "
                f"{type(what).__name__}."
            )
        return self.model.encode_images(what[None] if rank == 3 else what, batch_size, verbose)


def _is_single(query):
    return isinstance(query, str) or len(getattr(query, "shape", ())) == 3
