"""Short prompts into descriptions of pictures, by a language model."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import re
import warnings

import keras
import numpy as np
from keras import ops

from kgen.text.load_text_model import import_keras_hub
from kgen.text.prompt_cleaning import clean_prompt, clean_prompts
from kgen.text.seeded_sampler import seeded_sampler_class

_TEMPLATE = "A detailed description of a picture of {prompt}: the picture shows"
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")
_CHINESE = re.compile("[\u3040-\u30ff\u3400-\u9fff]")


@keras.saving.register_keras_serializable(package="kgen")
class PromptExpander(keras.layers.Layer):
    """A language model that writes on: "a cat" becomes "a cat, ..." with what a picture of it may show.

    The prompt's own words stay in front, whatever the model writes, so that no expansion loses what was asked for. Of
    what it writes the first line counts, up to the end of its last sentence, or to its last comma where no sentence
    ends. Where the model fails or writes nothing, the prompt stays as it is, with a warning. What was expanded once is
    remembered.

    The same prompt and seed give the same text, in any company, but for the rounding of a model's numbers, which
    differs a little between batches and machines.

    Args:
        language_model: a `keras_hub.models.CausalLM` with its preprocessor; the name of a KerasHub preset or a
            directory, loaded when it is first needed and saved by its name alone; or a function from a string to a
            string. A `CausalLM` is saved with the model that it is a part of, and is not trained there.
        template: what the language model is given, with `{prompt}` in it. Not for a function.
        max_length: tokens of template, prompt and description together; not for a function.
        top_k: how many of the likeliest tokens to draw the next one from; 1 takes the likeliest.
        temperature: above 1 for more surprising texts, below for plainer ones.
        seed: integer: of the drawing of tokens.
        batch_size: how many prompts to expand at a time.
        cache: file to keep expansions in, a line of JSON for each; None: memory. Those of another model, template or
            seed in it are left alone. A function counts as the same one by its name.
        **kwargs: `name`.

    Raises:
        TypeError: if `language_model` is none of these.
        ValueError: for a template without `{prompt}`, or a number out of range.

    Example:
        ```python
        expander = kgen.text.PromptExpander("gpt2_base_en", max_length=48)
        expander.expand(["a black cat"])  # ["a black cat, ..."]
        ```
    """

    def __init__(
        self,
        language_model,
        template=_TEMPLATE,
        max_length=64,
        top_k=40,
        temperature=1.0,
        seed=0,
        batch_size=16,
        cache=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(language_model, os.PathLike):
            language_model = os.fspath(language_model)
        _check_language_model(language_model)
        if not isinstance(template, str) or "{prompt}" not in template:
            raise ValueError(f"PromptExpander: template must be a string with {{prompt}} in it; got {template!r}.")
        for name, value in {"max_length": max_length, "top_k": top_k, "batch_size": batch_size}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"PromptExpander: {name} must be an integer of at least 1; got {value!r}.")
        if not temperature > 0:
            raise ValueError(f"PromptExpander: temperature must be positive; got {temperature!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
            raise ValueError(f"PromptExpander: seed must be an integer from 0 to 2**31 - 1; got {seed!r}.")
        self.language_model = language_model
        self.template = template
        self.max_length = max_length
        self.top_k = top_k
        self.temperature = temperature
        self.seed = seed
        self.batch_size = batch_size
        self.cache = None if cache is None else os.fspath(cache)
        self._known = None
        self._sampler = self._generate_function = None
        self.trainable = False
        self.built = True

    def expand(self, prompts):
        """The expanded prompts.

        Args:
            prompts: list of strings; each is cleaned by `clean_prompt` first.

        Returns:
            A list of as many strings, each beginning with its prompt.

        Raises:
            TypeError: for a single string, or a prompt that is no string.
            ValueError: for no prompts, or an empty one.
        """
        prompts = clean_prompts(prompts, "PromptExpander")
        if self._known is None:
            self._known = _Memory(self.cache, self._fingerprint() if self.cache else "")
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known.texts]
        failures = {}
        for start in range(0, len(missing), self.batch_size):
            batch = missing[start : start + self.batch_size]
            try:
                written = self._write(batch)
            except Exception as error:  # a picture of the plain prompt is better than none
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
                f"PromptExpander: {len(failures)} of {len(set(prompts))} prompts stay as they are; {prompt!r} because "
                f"of {reason}",
                stacklevel=2,
            )
        return [self._known.texts.get(prompt, prompt) for prompt in prompts]

    # === What writes ===
    @property
    def _is_function(self):
        return not isinstance(self.language_model, str) and not hasattr(self.language_model, "generate_step")

    def _model(self):
        # Not kept as an attribute: a model that is known by its name is not saved.
        return _loaded(self.language_model) if isinstance(self.language_model, str) else self.language_model

    def _write(self, prompts):
        if self._is_function:
            return [self.language_model(prompt) for prompt in prompts]
        model = self._model()
        if self._sampler is None:
            self._sampler = seeded_sampler_class()(self.top_k, self.temperature, self.seed)
        self._sampler.restart()
        before = model.sampler, model.generate_function
        # Not by `compile`, which would also throw away how the model is trained.
        model.sampler, model.generate_function = self._sampler, self._generate_function
        try:
            asked = [self.template.replace("{prompt}", prompt) for prompt in prompts]
            if "strip_prompt" in inspect.signature(model.generate).parameters:
                written = model.generate(asked, max_length=self.max_length, strip_prompt=True)
            else:
                written = model.generate(asked, max_length=self.max_length)
                written = [text[len(start) :] for text, start in zip(written, asked)]
            self._generate_function = model.generate_function
        finally:
            model.sampler, model.generate_function = before
        return written

    def _fingerprint(self):
        """What an expansion depends on, beside its prompt."""
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
    def get_config(self):
        """The constructor's arguments.

        Raises:
            ValueError: if the language model is a function that Keras does not know by a name.
        """
        source = self.language_model
        if self._is_function and not _is_registered(source):
            raise ValueError(
                f"PromptExpander: {_name(source)} cannot be saved; make its name known by "
                "@keras.saving.register_keras_serializable(), or give a KerasHub CausalLM or its name."
            )
        return {
            **super().get_config(),
            "language_model": source if isinstance(source, str) else keras.saving.serialize_keras_object(source),
            "template": self.template,
            "max_length": self.max_length,
            "top_k": self.top_k,
            "temperature": self.temperature,
            "seed": self.seed,
            "batch_size": self.batch_size,
            "cache": self.cache,
        }

    @classmethod
    def from_config(cls, config):
        """An expander of a saved configuration; weights and vocabulary come from the file's own parts."""
        source = config["language_model"]
        if isinstance(source, dict):
            if source["class_name"] != "function":
                import_keras_hub()
            source = keras.saving.deserialize_keras_object(source)
        return cls(**{**config, "language_model": source})


class _Memory:
    """Expansions by prompt; with a file, also those that earlier runs wrote for the same fingerprint."""

    def __init__(self, file, fingerprint):
        self.file = file
        self.fingerprint = fingerprint
        self.texts = {}
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
                # Line ends stand before, so that half a line of a run that was killed spoils no other.
                lines.write(
                    "\n" * (lines.tell() > 0) + json.dumps([self.fingerprint, prompt, text], ensure_ascii=False)
                )


def _behind(prompt, text, whole):
    """The prompt with what was written behind it; `whole` texts are not cut.

    Raises:
        ValueError: where that is not a word.
    """
    if not isinstance(text, str):
        raise ValueError(f"an answer that is no string: {type(text).__name__}")
    text = clean_prompt(text) if whole else _cut(text)
    if text.casefold().startswith(prompt.casefold()):
        text = text[len(prompt) :]
    text = text.lstrip(" ,.;:-–—，。；：")
    if not any(letter.isalnum() for letter in text):
        raise ValueError("an answer without a word")
    if prompt[-1] in ".!?。！？,，;:":
        return f"{prompt} {text}"
    return f"{prompt}，{text}" if _CHINESE.match(prompt[-1]) else f"{prompt}, {text}"


def _cut(text):
    """The first line that is not empty, up to where its last sentence ends, else to its last comma."""
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
