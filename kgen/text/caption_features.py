"""The features of captions, computed once."""

import hashlib
import json
import os
import warnings
import zlib

import keras
import numpy as np

from kgen.text.prompt_cleaning import clean_prompts

_CHUNK = 512  # captions: what a killed run loses at most
_SUFFIX = ".features.npz"


class CaptionFeatures:
    """What a frozen `TextEncoder` says of each different caption of a data set, kept for all epochs.

    Only real tokens are kept. In memory, 10,000 captions of 10 tokens and 384 features take 150 MB; with `path`, token
    features stay in a directory and are read as they are needed.

    The directory belongs to one encoder. Its files are written whole and carry a checksum, and their captions, so that
    a run killed half-way goes on from there, and captions are added to it from run to run. Files of another encoder,
    or damaged ones, are computed again, with a warning.

    Args:
        encoder: a `TextEncoder` that is not trainable.
        captions: list of strings; duplicates are free.
        path: directory to keep the features in. None: memory.
        batch_size: how many captions to encode at a time.
        dtype: `"float32"`, or `"float16"` to keep tokens in half the space; rounding changes a feature by less than
            one part in a thousand.
        verbose: show a progress bar: 1 or 0, or `"auto"`: for more than 200 new captions.

    Raises:
        TypeError: a caption is no string.
        ValueError: no captions, an empty one, an encoder that is trained on, or another dtype.

    Example:
        ```python
        features = kgen.text.CaptionFeatures(encoder, ["a cat", "a dog", "a cat"])
        features.gather(features.index(["a dog", "a cat"]))["tokens"].shape  # (2, 32, 384)
        ```
    """

    def __init__(self, encoder, captions, path=None, batch_size=64, dtype="float32", verbose="auto"):
        if encoder.trainable:
            raise ValueError(
                "CaptionFeatures: the encoder is trainable, so its features change while it trains. Set "
                "encoder.trainable = False, or encode the captions of each batch."
            )
        if dtype not in ("float32", "float16"):
            raise ValueError(f"CaptionFeatures: dtype must be 'float32' or 'float16'; got {dtype!r}.")
        self.encoder = encoder
        self.path = None if path is None else os.fspath(path)
        self.batch_size = batch_size
        self.dtype = dtype
        self.vocabulary = []
        self._rows = {}
        self._places = []  # of each row: its chunk, and its position there
        self._stored = {}
        if self.path is not None:
            os.makedirs(self.path, exist_ok=True)
            self._fingerprint = f"{encoder.fingerprint()}-{dtype}"
            self._read_directory()
        self.extend(captions, verbose)

    def __len__(self):
        return len(self.vocabulary)

    def __contains__(self, caption):
        return clean_prompts([caption], "CaptionFeatures")[0] in self._rows

    def extend(self, captions, verbose="auto"):
        """Adds captions; those that are known already cost nothing, and keep their rows."""
        captions = clean_prompts(captions, "CaptionFeatures")
        wanted = [caption for caption in dict.fromkeys(captions) if caption not in self._rows]
        missing = [caption for caption in wanted if caption not in self._stored]
        show = len(missing) > 200 if verbose == "auto" else bool(verbose) and bool(missing)
        bar = keras.utils.Progbar(len(missing), unit_name="caption", verbose=int(show))
        for start in range(0, len(missing), _CHUNK):
            chunk = _Chunk.of(self.encoder, missing[start : start + _CHUNK], self.batch_size, self.dtype)
            if self.path is not None:
                chunk.write(self.path, self._fingerprint)
            self._stored.update(chunk.places())
            bar.add(len(chunk.captions))
        for caption in wanted:
            self._rows[caption] = len(self.vocabulary)
            self.vocabulary.append(caption)
            self._places.append(self._stored[caption])

    def index(self, captions):
        """The row of each caption, as an int32 array.

        Raises:
            KeyError: for a caption that was never given.
        """
        captions = clean_prompts(captions, "CaptionFeatures")
        unknown = list(dict.fromkeys(caption for caption in captions if caption not in self._rows))
        if unknown:
            raise KeyError(
                f"CaptionFeatures: {len(unknown)} of {len(captions)} captions have no features yet, the first being "
                f"{unknown[0]!r}. Add them by extend(captions)."
            )
        return np.array([self._rows[caption] for caption in captions], "int32")

    def gather(self, rows):
        """The features of rows, as `TextEncoder.encode` gives them: float32 `pooled` and `tokens`, bool `mask`.

        Raises:
            IndexError: for a row that is not there.
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
                reason = "is of another encoder or dtype; give each a directory of its own"
            warnings.warn(f"CaptionFeatures: {file} {reason}. Its captions are computed again.", stacklevel=3)
            for leftover in (file, _tokens_file(file)):
                if os.path.exists(leftover):
                    os.remove(leftover)


class _Chunk:
    """Some captions, their pooled features, and the features of their tokens end to end: caption i's are those from
    `bounds[i]` to `bounds[i + 1]`.
    """

    def __init__(self, captions, pooled, tokens, mask, bounds):
        self.captions = captions
        self.pooled = pooled
        self.tokens = tokens
        self.mask = mask
        self.bounds = bounds

    @classmethod
    def of(cls, encoder, captions, batch_size, dtype):
        features = encoder.encode(captions, batch_size, verbose=0)
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
        # The tokens first: a chunk counts once its .npz is there.
        _write_whole(_tokens_file(file), lambda stream: np.save(stream, self.tokens))
        arrays = {
            "captions": np.frombuffer(captions, "uint8"),
            "pooled": self.pooled,
            "mask": self.mask,
            "bounds": self.bounds,
            "fingerprint": np.array(fingerprint),
            "checksum": np.array(_checksum(_tokens_file(file))),
        }
        _write_whole(file, lambda stream: np.savez(stream, **arrays))
        self.tokens = np.load(_tokens_file(file), mmap_mode="r")

    @classmethod
    def read(cls, file):
        with np.load(file, allow_pickle=False) as arrays:
            arrays = {name: arrays[name] for name in arrays.files}
        if _checksum(_tokens_file(file)) != int(arrays["checksum"]):
            raise ValueError("the checksum of its tokens is not theirs")
        captions = json.loads(arrays["captions"].tobytes())
        tokens = np.load(_tokens_file(file), mmap_mode="r")
        chunk = cls(captions, arrays["pooled"], tokens, arrays["mask"], arrays["bounds"])
        return chunk, str(arrays["fingerprint"])


def _tokens_file(file):
    return file.removesuffix(_SUFFIX) + ".tokens.npy"


def _write_whole(file, write):
    partial = f"{file}.{os.getpid()}.partial"
    with open(partial, "wb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, file)


def _checksum(file):
    checksum = 0
    with open(file, "rb") as stream:
        while block := stream.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum
