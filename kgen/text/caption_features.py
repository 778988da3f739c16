"""The features of a data set's captions, computed once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Sequence

import numpy as np

from kgen.files import whole_file
from kgen.progress import Progress
from kgen.text.prompt_cleaner import clean_prompts
from kgen.text.text_encoder import TextEncoder
from kgen.text.text_models import warn_of_cut
from kgen.types import Array

_CHUNK = 512  # captions: the most that a killed run loses
_SUFFIX = ".features.npz"


class CaptionFeatures:
    """The features of each distinct caption of a data set, computed once by a frozen `TextEncoder`.

    Only real tokens are kept. In memory, 10,000 captions of 10 tokens and 384 features take 150 MB; with `path`, token
    features stay in a directory and are read when needed.

    The directory belongs to one encoder. Its files are always complete, with their captions and a checksum: a killed
    run can be continued, and further runs add captions. Files of another encoder and damaged files are computed again,
    with a warning.

    Args:
        encoder: a `TextEncoder` that is not trainable.
        captions: list of strings; duplicates cost nothing.
        path: directory to keep the features in. None: memory.
        batch_size: captions encoded at once.
        dtype: `"float32"`, or `"float16"` to keep tokens in half the space; rounding changes a feature by less than
            one part in a thousand.
        verbose: progress bar: 0: never; 1: always; "auto": after two seconds.

    Raises:
        TypeError: a caption is not a string.
        ValueError: there are no captions, one is empty, the encoder is trainable, or the dtype is unknown.

    Example:

    ```python
    features = kgen.text.CaptionFeatures(encoder, ["a cat", "a dog", "a cat"])
    features.gather(features.index(["a dog", "a cat"]))["tokens"].shape      # (2, 32, 384)
    ```
    """

    def __init__(
        self,
        encoder: TextEncoder,
        captions: Sequence[str],
        path: str | os.PathLike | None = None,
        batch_size: int = 64,
        dtype: str = "float32",
        verbose: int | str = "auto",
    ):
        if encoder.trainable:
            raise ValueError(
                "CaptionFeatures: the encoder is trainable, so its features change while it trains. Set "
                "encoder.trainable = False, or encode the captions of each batch."
            )
        if dtype not in ("float32", "float16"):
            raise ValueError(f"CaptionFeatures: dtype must be 'float32' or 'float16'; got {dtype!r}.")
        self.encoder = encoder
        self.path = None if path is None else os.path.abspath(os.path.expanduser(path))
        self.batch_size = batch_size
        self.dtype = dtype
        self.vocabulary: list[str] = []
        self._rows: dict[str, int] = {}
        self._places: list[tuple[_Chunk, int]] = []  # for each row: its chunk, and its position there
        self._stored: dict[str, tuple[_Chunk, int]] = {}
        if self.path is not None:
            os.makedirs(self.path, exist_ok=True)
            self._fingerprint = f"{encoder.fingerprint()}-{dtype}"
            self._read_directory()
        self.extend(captions, verbose)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __contains__(self, caption: str) -> bool:
        return clean_prompts([caption], "CaptionFeatures")[0] in self._rows

    def extend(self, captions: Sequence[str], verbose: int | str = "auto") -> None:
        """Adds captions; known ones cost nothing and keep their rows."""
        captions = clean_prompts(captions, "CaptionFeatures")
        wanted = [caption for caption in dict.fromkeys(captions) if caption not in self._rows]
        missing = [caption for caption in wanted if caption not in self._stored]
        progress = Progress(len(missing), "caption", verbose)
        cut: list[str] = []
        for start in range(0, len(missing), _CHUNK):
            chunk = _Chunk.of(self.encoder, missing[start : start + _CHUNK], self.batch_size, self.dtype, cut)
            if self.path is not None:
                chunk.write(self.path, self._fingerprint)
            self._stored.update(chunk.places())
            progress.add(len(chunk.captions))
        warn_of_cut(cut, len(missing), self.encoder)
        for caption in wanted:
            self._rows[caption] = len(self.vocabulary)
            self.vocabulary.append(caption)
            self._places.append(self._stored[caption])

    def index(self, captions: Sequence[str]) -> Array:
        """The row of each caption, as an int32 array.

        Raises:
            KeyError: for a caption that was never added.
        """
        captions = clean_prompts(captions, "CaptionFeatures")
        unknown = list(dict.fromkeys(caption for caption in captions if caption not in self._rows))
        if unknown:
            raise KeyError(
                f"CaptionFeatures: {len(unknown)} of {len(captions)} captions have no features yet, the first being "
                f"{unknown[0]!r}. Add them with extend(captions)."
            )
        return np.array([self._rows[caption] for caption in captions], "int32")

    def gather(self, rows: Array | Sequence[int]) -> dict[str, Array]:
        """The features of rows, as in `TextEncoder.encode`: float32 `pooled` and `tokens`, bool `mask`.

        Raises:
            IndexError: for a row that does not exist.
        """
        rows = np.asarray(rows)
        if rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise TypeError(
                f"CaptionFeatures: rows must be a vector of integers; got {rows.dtype} of shape {rows.shape}."
            )
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(
                f"CaptionFeatures: rows must be from 0 to {len(self) - 1}; got {rows.min()} to {rows.max()}."
            )
        shape = (len(rows), self.encoder.sequence_length)
        features = {
            "pooled": np.empty((len(rows), self.encoder.pooled_dim), "float32"),
            "tokens": np.zeros((*shape, self.encoder.token_dim), "float32"),
            "mask": np.zeros(shape, bool),
        }
        for i, row in enumerate(rows):
            chunk, position = self._places[row]
            start, end = chunk.bounds[position : position + 2]
            features["pooled"][i] = chunk.pooled[position]
            features["tokens"][i, : end - start] = chunk.tokens[start:end]
            features["mask"][i, : end - start] = chunk.mask[start:end]
        return features

    def _read_directory(self):
        for name in sorted(os.listdir(self.path)):
            if not name.endswith(_SUFFIX):
                continue
            file = os.path.join(self.path, name)
            try:
                chunk, fingerprint = _Chunk.read(file)
            except Exception as error:  # whatever a damaged file makes NumPy raise
                reason = f"is damaged ({type(error).__name__}: {error})"
            else:
                if fingerprint == self._fingerprint:
                    self._stored.update(chunk.places())
                    continue
                reason = "is from another encoder or dtype; use a separate directory for each"
            warnings.warn(f"CaptionFeatures: {file} {reason}. Its captions are computed again.", stacklevel=3)
            for leftover in (file, _tokens_file(file)):
                if os.path.exists(leftover):
                    os.remove(leftover)


@dataclasses.dataclass(eq=False)
class _Chunk:
    """Some captions and their features; the tokens of caption i go from `bounds[i]` to `bounds[i + 1]`."""

    captions: list[str]
    pooled: Array
    tokens: Array
    mask: Array
    bounds: Array

    @classmethod
    def of(cls, encoder, captions, batch_size, dtype, cut):
        features = encoder.encode(captions, batch_size, verbose=0, cut=cut)
        mask = features["mask"]
        lengths = mask.shape[1] - mask[:, ::-1].argmax(axis=1)
        kept = np.arange(mask.shape[1]) < lengths[:, None]
        bounds = np.concatenate([[0], np.cumsum(lengths)])
        return cls(captions, features["pooled"], features["tokens"][kept].astype(dtype), mask[kept], bounds)

    def places(self):
        return {caption: (self, i) for i, caption in enumerate(self.captions)}

    def write(self, path, fingerprint):
        captions = json.dumps(self.captions).encode()
        key = hashlib.blake2b(fingerprint.encode() + captions, digest_size=12).hexdigest()
        file = os.path.join(path, key + _SUFFIX)
        # The tokens first: a chunk counts once its .npz exists.
        with whole_file(_tokens_file(file)) as partial:
            np.save(partial, self.tokens)
        arrays = {
            "captions": np.frombuffer(captions, "uint8"),
            "pooled": self.pooled,
            "mask": self.mask,
            "bounds": self.bounds,
            "fingerprint": np.array(fingerprint),
            "checksum": np.array(_checksum(_tokens_file(file))),
        }
        with whole_file(file) as partial:
            np.savez(partial, **arrays)
        self.tokens = np.load(_tokens_file(file), mmap_mode="r")

    @classmethod
    def read(cls, file):
        with np.load(file, allow_pickle=False) as arrays:
            arrays = {name: arrays[name] for name in arrays.files}
        if _checksum(_tokens_file(file)) != int(arrays["checksum"]):
            raise ValueError("the checksum of its tokens does not match")
        captions = json.loads(arrays["captions"].tobytes())
        tokens = np.load(_tokens_file(file), mmap_mode="r")
        chunk = cls(captions, arrays["pooled"], tokens, arrays["mask"], arrays["bounds"])
        return chunk, str(arrays["fingerprint"])


def _tokens_file(file):
    return file.removesuffix(_SUFFIX) + ".tokens.npy"


def _checksum(file):
    checksum = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum
