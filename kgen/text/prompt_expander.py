"""From short prompts to descriptions of images, with a language model."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.serializable import constructor_arguments, serializable
from kgen.text.prompt_cleaner import clean_prompt, clean_prompts
from kgen.text.seeded_sampler import seeded_sampler_class
from kgen.text.text_models import import_keras_hub

_TEMPLATE = "A detailed description of a picture of {prompt}: the picture shows"
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")
_CHINESE = re.compile("[\u3040-\u30ff\u3400-\u9fff]")


@serializable
class PromptExpander(keras.layers.Layer):
    """Lets a language model continue prompts: "a cat" becomes "a cat, ..." with what an image of it may show.

    The prompt's own words always stay in front, so that no expansion loses what was asked for. From the model's text,
    the first line is taken, up to the end of its last sentence, or to its last comma if no sentence ends. If the model
    fails or writes nothing, the prompt stays as it is, with a warning. Expansions are remembered.

    The same prompt and seed give the same text, whatever other prompts come with it, except for rounding, which differs
    a little between batches and machines.

    Args:
        language_model: a `keras_hub.models.CausalLM` with its preprocessor; the name of a KerasHub preset or a
            directory, loaded on first use and saved only by its name; or a function from a string to a string. A
            `CausalLM` is saved with the model that holds it, and is not trained there.
        template: text for the language model, with `{prompt}` in it. Not for a function.
        max_length: tokens of template, prompt and description together; not for a function.
        top_k: number of likeliest tokens to draw the next one from; 1 takes the likeliest.
        temperature: above 1 for more surprising texts, below for plainer ones.
        seed: integer from 0 to 2**31 - 1, for drawing tokens.
        batch_size: prompts expanded at once.
        cache: file to keep expansions in, one line of JSON each; None: memory. Those of another model, template or seed
            are left alone. A function is recognised by its name. The cache is not saved with a model: set the attribute
            `cache` of a loaded expander before its first use.
        **kwargs: `name`.

    Raises:
        TypeError: if `language_model` is something else.
        ValueError: for a template without `{prompt}`, or a number out of range.

    Example:

    ```python
    expander = kgen.text.PromptExpander("gpt2_base_en", max_length=48)
    expander.expand(["a black cat"])      # ["a black cat, ..."]
    ```
    """

    def __init__(
        self,
        language_model: str | os.PathLike | keras.Model | Callable[[str], str],
        template: str = _TEMPLATE,
        max_length: int = 64,
        top_k: int = 40,
        temperature: float = 1.0,
        seed: int = 0,
        batch_size: int = 16,
        cache: str | os.PathLike | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if isinstance(language_model, os.PathLike):
            language_model = os.fspath(language_model)
        _check_language_model(language_model)
        if not isinstance(template, str) or "{prompt}" not in template:
            raise ValueError(f"PromptExpander: template must be a string with {{prompt}} in it; got {template!r}.")
        if not temperature > 0:
            raise ValueError(f"PromptExpander: temperature must be positive; got {temperature!r}.")
        self.language_model = language_model
        self.template = template
        self.max_length = checks.integer("PromptExpander", "max_length", max_length)
        self.top_k = checks.integer("PromptExpander", "top_k", top_k)
        self.temperature = temperature
        self.seed = checks.integer("PromptExpander", "seed", seed, 0, 2**31 - 1)
        self.batch_size = checks.integer("PromptExpander", "batch_size", batch_size)
        self.cache = None if cache is None else os.fspath(cache)
        self._known: _Memory | None = None
        self._sampler: Any = None
        self._generate_function: Any = None
        self.trainable = False
        self.built = True

    def expand(self, prompts: Sequence[str]) -> list[str]:
        """The expanded prompts.

        Args:
            prompts: list of strings; each is cleaned by `clean_prompt` first.

        Returns:
            A list of as many strings, each beginning with its prompt.

        Raises:
            TypeError: for a single string, or a prompt that is not a string.
            ValueError: for no prompts, or an empty one.
        """
        prompts = clean_prompts(prompts, "PromptExpander")
        if self._known is None:
            self._known = _Memory(self.cache, self._fingerprint() if self.cache else "")
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known.texts]
        failures: dict[str, str] = {}
        for start in range(0, len(missing), self.batch_size):
            batch = missing[start : start + self.batch_size]
            try:
                written = self._write(batch)
            except Exception as error:  # an image of the plain prompt is better than none
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                failures.update((prompt, reason) for prompt in batch)
                continue
            for prompt, text in zip(batch, written):
                try:
                    self._known.add(prompt, _behind(prompt, text, whole=self._is_function))
                except ValueError as error:
                    failures[prompt] = str(error)
        if failures:
            prompt, reason = next(iter(failures.items()))
            warnings.warn(
                f"PromptExpander: {len(failures)} of {len(set(prompts))} prompts were not expanded; {prompt!r} because "
                f"of {reason}",
                stacklevel=2,
            )
        return [self._known.texts.get(prompt, prompt) for prompt in prompts]

    # === Writing ===
    @property
    def _is_function(self):
        return not isinstance(self.language_model, str) and not hasattr(self.language_model, "generate_step")

    def _model(self):
        # Not an attribute: a model given by name is not saved.
        return _loaded(self.language_model) if isinstance(self.language_model, str) else self.language_model

    def _write(self, prompts):
        if self._is_function:
            return [self.language_model(prompt) for prompt in prompts]
        model = self._model()
        if self._sampler is None:
            self._sampler = seeded_sampler_class()(self.top_k, self.temperature, self.seed)
        self._sampler.restart()
        before = model.sampler, model.generate_function
        # Not with `compile`, which would also discard the model's training setup.
        model.sampler, model.generate_function = self._sampler, self._generate_function
        try:
            asked = [self.template.replace("{prompt}", prompt) for prompt in prompts]
            try:
                written = model.generate(asked, max_length=self.max_length, strip_prompt=True)
            except TypeError as error:
                if "strip_prompt" not in str(error):
                    raise
                # Phi3's generate has no such argument.
                written = model.generate(asked, max_length=self.max_length)
                written = [text[len(start) :] for text, start in zip(written, asked)]
            self._generate_function = model.generate_function
        finally:
            model.sampler, model.generate_function = before
        return written

    def _fingerprint(self):
        """A hash of everything that an expansion depends on, besides its prompt."""
        digest = hashlib.blake2b(digest_size=16)
        if self._is_function or isinstance(self.language_model, str):
            source = self.language_model
            digest.update((source if isinstance(source, str) else _name(source)).encode())
        else:
            for weight in self.language_model.weights:
                digest.update(np.ascontiguousarray(ops.convert_to_numpy(weight)).tobytes())
        options = [self.template, self.max_length, self.top_k, self.temperature, self.seed]
        digest.update(json.dumps(options).encode())
        return digest.hexdigest()

    # === Config ===
    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments.

        Raises:
            ValueError: if the language model is a function that is not registered with Keras.
        """
        source = self.language_model
        if self._is_function and not _is_registered(source):
            raise ValueError(
                f"PromptExpander: {_name(source)} cannot be saved; register it with "
                "@keras.saving.register_keras_serializable(), or give a KerasHub CausalLM or its name."
            )
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in constructor_arguments(type(self))},
            # A path on this machine: a saved file must not tell another machine where to write.
            "cache": None,
            "language_model": source if isinstance(source, str) else keras.saving.serialize_keras_object(source),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> PromptExpander:
        """An expander without a cache, whatever the config says."""
        if config.get("cache") is not None:
            warnings.warn(
                f"PromptExpander: the saved model wants to write to {config['cache']!r}, which is ignored. To use a "
                "cache, set expander.cache = path.",
                stacklevel=2,
            )
        model = config.get("language_model")
        if isinstance(model, str) and ("/" in model or "\\" in model):
            warnings.warn(
                f"PromptExpander: the saved model expands prompts with the language model at {model!r}.", stacklevel=2
            )
        return cls(
            **{
                name: keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
                for name, value in config.items()
                if name != "cache"
            }
        )


class _Memory:
    """Expansions by prompt; with a file, also those that earlier runs wrote for the same fingerprint."""

    def __init__(self, file: str | None, fingerprint: str):
        self.file = file
        self.fingerprint = fingerprint
        self.texts: dict[str, str] = {}
        if file is None or not os.path.exists(file):
            return
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                try:
                    key, prompt, text = json.loads(line)
                except ValueError:  # the last line of a run that was killed
                    continue
                if key == fingerprint:
                    self.texts[prompt] = text

    def add(self, prompt, text):
        self.texts[prompt] = text
        if self.file is not None:
            with open(self.file, "a", encoding="utf-8") as lines:
                # The line end comes first, so that half a line of a killed run spoils no other line.
                lines.write(
                    "\n" * (lines.tell() > 0) + json.dumps([self.fingerprint, prompt, text], ensure_ascii=False)
                )


def _behind(prompt, text, whole):
    """The prompt followed by the written text; `whole` texts are not cut.

    Raises:
        ValueError: if the text has no word.
    """
    if not isinstance(text, str):
        raise ValueError(f"an answer that is not a string: {type(text).__name__}")
    text = clean_prompt(text) if whole else _cut(text)
    rest = text[len(prompt) :]
    # "a cat" does not begin "a caterpillar".
    whole_words = not rest[:1].isalnum() or not prompt[-1].isalnum() or _CHINESE.match(prompt[-1])
    if text.casefold().startswith(prompt.casefold()) and whole_words:
        text = rest
    text = text.lstrip(" ,.;:-–—，。；：")
    if not any(letter.isalnum() for letter in text):
        raise ValueError("an answer without a word")
    if prompt[-1] in ".!?。！？,，;:":
        return f"{prompt} {text}"
    return f"{prompt}，{text}" if _CHINESE.match(prompt[-1]) else f"{prompt}, {text}"


def _cut(text):
    """The first line that is not empty, up to the end of its last sentence, else to its last comma."""
    line = next((line for line in map(clean_prompt, text.splitlines()) if line), "")
    ends = [match.end() for match in _SENTENCE_END.finditer(line)]
    if ends:
        return line[: ends[-1]]
    comma = max(line.rfind(","), line.rfind("，"))
    return line[:comma] if comma > 0 else line


@functools.lru_cache(maxsize=1)
def _loaded(source):
    return import_keras_hub().models.CausalLM.from_preset(source)


def _check_language_model(source):
    if isinstance(source, str):
        return
    if hasattr(source, "generate_step"):
        if getattr(source, "preprocessor", None) is None:
            raise TypeError(f"PromptExpander: {type(source).__name__} needs its preprocessor, which makes tokens.")
    elif isinstance(source, keras.layers.Layer) or not callable(source):
        raise TypeError(
            "PromptExpander: language_model must be a KerasHub CausalLM, a preset's name, a directory, or a function "
            f"from a string to a string; got {type(source).__name__}."
        )


def _name(function):
    return getattr(function, "__qualname__", type(function).__qualname__)


def _is_registered(function):
    known = function if inspect.isfunction(function) else type(function)
    return keras.saving.get_registered_object(keras.saving.get_registered_name(known)) is known
