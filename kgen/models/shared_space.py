"""What can be done with pictures and texts that have vectors in one space."""

from __future__ import annotations

import numpy as np

from kgen.text import clean_prompts


class SharedSpace:
    """Similarity, zero-shot classification, retrieval and captioning by retrieval, all by cosines.

    A subclass gives `encode_images(images, batch_size, verbose)` and `encode_texts(texts, batch_size, verbose)`, which
    give unit vectors `(N, embedding_dim)`; and `embedding_dim`, and `temperature`, which cosines are divided by to be
    logits.

    Example:

    ```python
    issubclass(kgen.models.DualEncoder, kgen.models.shared_space.SharedSpace)     # True
    ```
    """

    def similarity(self, images, texts, batch_size=64, verbose="auto"):
        """Cosines `(pictures, texts)` float32, from -1 to 1, of each picture with each text.

        Args:
            images: as of `encode_images`, or their vectors.
            texts: as of `encode_texts`, or their vectors.
            batch_size, verbose: as of `encode_images`.
        """
        options = batch_size, verbose
        return self._vectors(images, "similarity", *options) @ self._vectors(texts, "similarity", *options).T

    def classify(self, images, names, template="a picture of {}", batch_size=64, verbose="auto"):
        """What pictures show, of some names that need not have been labels in training: zero-shot classification.

        P(name) is the softmax, over the names, of logits of the picture with `template.format(name)`.

        Args:
            images: as of `encode_images`, or their vectors.
            names: at least two different strings.
            template: a string with `{}` in it; or a list of them, whose vectors are averaged.
            batch_size, verbose: as of `encode_images`.

        Returns:
            float32 `(N, names)`.

        Raises:
            ValueError: for fewer than two names, equal ones, or a template without `{}`.
        """
        names = clean_prompts(names, f"{type(self).__name__}.classify")
        if len(set(names)) < max(2, len(names)):
            raise ValueError(
                f"{type(self).__name__}.classify: names must be at least two different strings; got {names}."
            )
        templates = [template] if isinstance(template, str) else list(template)
        if not templates or not all(isinstance(each, str) and "{}" in each for each in templates):
            raise ValueError(
                f"{type(self).__name__}.classify: a template is a string with {{}} for the name; got {template!r}."
            )
        texts = [each.replace("{}", name) for each in templates for name in names]
        vectors = self.encode_texts(texts, batch_size, verbose)
        vectors = vectors.reshape(len(templates), len(names), -1).sum(axis=0)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        # The bias is the same for all names, and cancels.
        logits = self.similarity(images, vectors, batch_size, verbose) / self.temperature
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def retrieve(self, query, bank, top=5, batch_size=64, verbose="auto"):
        """The pictures of a bank that fit a text best, the texts that fit a picture best; or those of its own kind.

        Args:
            query: a text or a list of texts; a picture `(H, W, C)` or pictures `(N, H, W, C)`; or vectors.
            bank: pictures, what `kgen.data` loads (its pictures), a list of texts, or the vectors of any of these.
            top: how many; of fewer, all.
            batch_size, verbose: as of `encode_images`.

        Returns:
            `(indices, cosines)`, both `(top,)` for a single query, else `(N, top)`, the best first.

        Raises:
            TypeError, ValueError: for what is neither pictures, nor texts, nor vectors; or `top` below 1.
        """
        if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
            raise ValueError(f"{type(self).__name__}.retrieve: top must be an integer of at least 1; got {top!r}.")
        queries = self._vectors(query, "retrieve", batch_size, verbose)
        cosines = queries @ self._vectors(bank, "retrieve", batch_size, verbose).T
        indices = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
        cosines = np.take_along_axis(cosines, indices, axis=1)
        return (indices[0], cosines[0]) if _is_single(query) else (indices, cosines)

    def caption(self, images, bank, top=1, batch_size=64, verbose="auto"):
        """Captions for pictures, chosen from a bank of texts.

        Args:
            images: a picture `(H, W, C)`, pictures `(N, H, W, C)`, or their vectors.
            bank: list of texts.
            top: how many for each picture.
            batch_size, verbose: as of `encode_images`.

        Returns:
            For each picture a string, or with `top` above 1 a list of them, the best first; for a single picture its
            own.
        """
        texts = clean_prompts(bank, f"{type(self).__name__}.caption")
        indices, _ = self.retrieve(images, texts, top, batch_size, verbose)
        chosen = [[texts[i] for i in row] for row in np.atleast_2d(indices)]
        chosen = [row[0] for row in chosen] if top == 1 else chosen
        return chosen[0] if _is_single(images) else chosen

    def _vectors(self, what, asked, batch_size, verbose):
        """Vectors `(N, embedding_dim)` of texts, of pictures, or of vectors."""
        what = getattr(what, "images", what)
        if isinstance(what, str):
            what = [what]
        if isinstance(what, (list, tuple)):
            return self.encode_texts(what, batch_size, verbose)
        rank = len(getattr(what, "shape", ()))
        if rank == 2:
            if what.shape[1] != self.embedding_dim:
                raise ValueError(
                    f"{type(self).__name__}.{asked}: vectors must have length {self.embedding_dim}; got shape "
                    f"{tuple(what.shape)}."
                )
            return np.asarray(what, "float32")
        if rank not in (3, 4):
            raise TypeError(
                f"{type(self).__name__}.{asked}: expected texts, pictures (N, height, width, channels), or vectors (N, "
                f"{self.embedding_dim}); got {type(what).__name__}."
            )
        return self.encode_images(what[None] if rank == 3 else what, batch_size, verbose)


def _is_single(query):
    return isinstance(query, str) or len(getattr(query, "shape", ())) == 3
