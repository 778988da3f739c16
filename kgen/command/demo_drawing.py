"""What the `kgen demo` page draws from words: one image, eight seeds, a walk. Images are embedded, not files."""

from __future__ import annotations

import base64
import html
import json
import threading
import time
import warnings
from typing import Any

import keras
import numpy as np

from kgen.layers import Saturation, Sharpen, Upscale
from kgen.types import Array
from kgen.visualization.save_images import png

SEEDS = 8
WALK_STEPS = 12
EMPTY = "Say what to draw."


class Drawing:
    """A text-to-image model for the visitors of a page. It keeps no state about them: each call passes all it needs.

    Args:
        model: a trained `TextToImage`.
        name: name of the model, for the text in the PNGs.
    """

    def __init__(self, model: Any, name: str):
        self.model = model
        self.name = name
        # One image at a time: in parallel, all of them would be late.
        self._lock = threading.Lock()

    @property
    def remembers(self) -> bool:
        """Whether the model accepts guidance and negative prompts."""
        return self.model.memory is not None

    def warm_up(self) -> None:
        """Compiles the graphs for texts of up to 8, 16, 32 and more tokens; takes seconds, once."""
        with warnings.catch_warnings():
            # Hides the warning that the longest text is cut.
            warnings.simplefilter("ignore", UserWarning)
            for words in (1, 7, 15, 31):
                self._drawn("a " * words, 0, "", 1.0)

    def one(
        self,
        prompt: str,
        seed: int | None = 0,
        negative: str = "",
        guidance: float = 1.0,
        sharpness: float = 0.0,
        saturation: float = 1.0,
        scale: int = 1,
    ) -> str:
        """HTML of the image of a prompt, with its seed, the milliseconds that it took, and a link to download it."""
        words = tidy(prompt)
        if not words:
            return _says(EMPTY)
        began = time.perf_counter()
        image, texts = self._drawn(words, seed or 0, tidy(negative), guidance)
        image = finished(image, sharpness, saturation, scale)
        changed = {"sharpness": (sharpness, 0), "saturation": (saturation, 1), "scale": (scale, 1)}
        texts |= {key: f"{value:g}" for key, (value, usual) in changed.items() if value != usual}
        took = f"{1000 * (time.perf_counter() - began):.0f} ms"
        return _figure(image, texts, f"seed {seed or 0} · {took}", f"{words[:60]} {seed or 0}")

    def strip(self, prompt: str, seed: int | None = 0, negative: str = "", guidance: float = 1.0) -> str:
        """The content of the strip of eight seeds, as JSON for `cell`; "" if there is no prompt."""
        words = tidy(prompt)
        return json.dumps([words, (seed or 0) // SEEDS * SEEDS, tidy(negative), guidance]) if words else ""

    def cell(self, asked: str) -> str:
        """The image of one seed, as a data URL. A page asks for its eight one by one, so other visitors get their turn.

        Args:
            asked: the result of `strip`, with one of its seeds in place of the first.
        """
        words, seed, negative, guidance = json.loads(asked)
        return _address(png(*self._drawn(tidy(words), seed, tidy(negative), guidance)))

    def walk(self, first: str, second: str, seed: int | None = 0, place: int = 0) -> str:
        """HTML of the images from one prompt to another; only the one at `place` is visible."""
        prompts = [tidy(first), tidy(second)]
        if not all(prompts):
            return _says("Enter both prompts.")
        with self._lock:
            images = self.model.walk(prompts, WALK_STEPS, [seed or 0] * 2, verbose=0)
        frames = []
        for i, image in enumerate(images):
            texts = {"prompt": "\n".join(prompts), "step": f"{i}/{WALK_STEPS}", "seed": str(seed or 0)}
            texts["model"] = self.name
            hidden = " hidden" * (i != place)
            shown = _figure(image, texts, f"step {i} of {WALK_STEPS}", f"{prompts[0][:30]} to {prompts[1][:30]} {i}")
            frames.append(f"<div{hidden}>{shown}</div>")
        return f'<div class="kgen-walk">{"".join(frames)}</div>'

    def _drawn(self, words, seed, negative, guidance):
        texts = {"prompt": words, "seed": str(seed), "model": self.name}
        asked = {}
        if self.remembers:
            asked = {"guidance_scale": float(guidance), "negative_prompts": negative or None}
            texts |= {"negative_prompt": negative} if negative else {}
            texts |= {"guidance": f"{guidance:g}"} if guidance != 1 else {}
        with self._lock:
            return self.model.generate(words, seed=int(seed), verbose=0, **asked), texts


def finished(image: Array, sharpness: float = 0.0, saturation: float = 1.0, scale: int = 1) -> Array:
    """A uint8 image after the post-processing layers that have an effect."""
    layers = [Sharpen(sharpness)] if sharpness else []
    layers += [Saturation(saturation)] if saturation != 1 else []
    layers += [Upscale(scale)] if scale > 1 else []
    if not layers:
        return image
    levels = np.asarray(image[None], "float32") / 255
    for layer in layers:
        levels = layer(levels)
    return np.rint(255 * keras.ops.convert_to_numpy(levels)[0]).astype("uint8")


def tidy(words: str | None) -> str:
    """Words with one space between them."""
    return " ".join((words or "").split())


def _figure(image, texts, caption, name):
    address = _address(png(image, texts))
    file = "".join(letter if letter.isalnum() else "_" for letter in name)
    alt = html.escape(texts["prompt"])
    link = f'<a download="{file}.png" href="{address}">Download</a>'
    return f'<figure><img src="{address}" alt="{alt}"><figcaption>{caption} · {link}</figcaption></figure>'


def _address(content):
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _says(words):
    return f'<p class="kgen-says">{words}</p>'
