"""Style transfer in one pass, compared with the optimisation of Gatys et al. on the same images and features.

    taskset -c 1 python benchmarks/style_transfer.py --seconds 540 --preset /tmp/style

Trains a `StyleTransfer` on crops of the photos of scikit-image and scikit-learn, and on patterns drawn by kgen, for the
given processor time. Then restyles held-out photos in held-out patterns and photos, and for each pair also optimises
the photo's pixels by Adam [Gatys et al. 2016].

All losses use the same encoder: content at the coarsest map that the decoder reads, style at all maps, by Gram matrices
(which the optimisation minimises together with content, at --gram-weight) and by means and deviations. Rows are means
over pairs; seconds are processor time for one image, without compilation.
"""

import argparse
import importlib.util
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from clock import Seconds
from keras import ops

import kgen
from kgen import losses
from kgen.inference.inversion import descend
from kgen.layers import channel_statistics
from kgen.training import backend

_FILE = Path(__file__).resolve().parents[1] / "examples" / "style_transfer.py"
_SPEC = importlib.util.spec_from_file_location("style_transfer_example", _FILE)
example = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(example)


def train(options):
    keras.config.set_dtype_policy(options.policy)
    contents = example.crops(example.photos(names=example.TRAINED_ON), options.crops, options.image_size, options.seed)
    textures = kgen.data.textures(options.crops, options.image_size, options.seed)
    surfaces = example.crops(example.photos(names=["brick", "grass"]), options.crops // 10, options.image_size, 1)
    decoder = kgen.networks.style_decoder([32, 144], [2, 4], filters=options.filters)
    model = kgen.models.StyleTransfer("efficientnet_lite0", decoder, ema_momentum=0.998, seed=options.seed)
    model.compile(
        keras.optimizers.Adam(options.rate, global_clipnorm=1.0),
        objective=options.objective,
        style_weight=options.style_weight,
        identity_weight=options.identity_weight,
    )
    model.fit(
        np.concatenate([contents, textures[: options.crops // 5]]),
        np.concatenate([textures, surfaces]),
        batch_size=options.batch_size,
        epochs=10_000,
        verbose=2,
        callbacks=[Seconds(options.seconds, options.rate)],
    )
    print(f"trained for {int(model.optimizer.iterations)} steps", flush=True)
    # Measured and saved in float32, because other machines may have no bfloat16.
    keras.config.set_dtype_policy("float32")
    decoder = kgen.networks.style_decoder([32, 144], [2, 4], filters=options.filters)
    whole = kgen.models.StyleTransfer("efficientnet_lite0", decoder, seed=options.seed)
    whole.set_weights(model.get_weights())
    if options.preset:
        whole.decoder.set_weights(whole.average.network.get_weights())
        whole.save_to_preset(options.preset, dtype="float16")
    return whole


class Judge:
    """Content and style losses in the features of a model's encoder, and their gradients for the optimisation."""

    def __init__(self, model, gram_weight):
        self.model, self.gram_weight = model, gram_weight
        self.parts = backend.compiled(self._parts, lambda: model.encoder.variables)
        self.slope = backend.compiled(self._slope, lambda: model.encoder.variables)

    def _losses(self, drawn, content, style):
        seen, wanted, kept = (self.model.encode(x) for x in (drawn, style, content))
        index = self.model.content_maps[-1]
        return (
            losses.content_loss(kept[index], seen[index]),
            sum(losses.gram_loss(a, b) for a, b in zip(wanted, seen)),
            sum(losses.style_loss(channel_statistics(a), channel_statistics(b)) for a, b in zip(wanted, seen)),
        )

    def _parts(self, inputs):
        return ops.stack(self._losses(inputs["drawn"], inputs["content"], inputs["style"]), axis=-1)

    def _slope(self, inputs):
        def loss(drawn):
            content, gram, _ = self._losses(drawn, inputs["content"], inputs["style"])
            return content + self.gram_weight * gram

        return backend.input_gradient(loss, inputs["drawn"])


def compare(model, options):
    size = options.test_size
    contents = [example.square(image, size) for image in example.photos(names=example.HELD_OUT)]
    styles = [*kgen.data.textures(6, size, options.seed + 1000)[[2, 5]]]
    styles += [example.square(image, size) for image in example.photos(names=["gravel"])]
    judge = Judge(model, options.gram_weight)
    rows = {name: [] for name in ["the photo as it is", "one pass", *(f"Gatys, {n} steps" for n in options.steps)]}
    seconds = {name: [] for name in rows}
    shown = []
    model.stylize(contents[0], styles[0])
    for content in contents:
        for style in styles:
            given = {"content": content, "style": style}
            given = {name: each[None].astype("float32") / 127.5 - 1.0 for name, each in given.items()}
            judge.slope({"drawn": given["content"], **given})

            def note(name, drawn, begin, given=given):
                seconds[name].append(time.process_time() - begin)
                rows[name].append(judge.parts({"drawn": drawn, **given})[0])

            note("the photo as it is", given["content"], time.process_time())
            begin = time.process_time()
            drawn = model.stylize(content, style, texture=0)
            note("one pass", drawn[None].astype("float32") / 127.5 - 1.0, begin)
            shown += [content, style, drawn]
            for steps in options.steps:
                begin = time.process_time()
                found = descend(
                    lambda x, step, given=given: judge.slope({"drawn": x, **given}), given["content"], steps, 0.1
                )
                found = np.clip(found, -1, 1)
                note(f"Gatys, {steps} steps", found, begin)
            shown.append(np.round(127.5 * (found[0] + 1)).astype("uint8"))
    last = f"Gatys, {options.steps[-1]} steps"
    best = np.mean(rows[last], axis=0) @ [1, options.gram_weight, 0]
    print("| | content | Gram | means and deviations | content + weight x Gram | of Gatys' | seconds | of Gatys' |")
    print("|-|-|-|-|-|-|-|-|")
    for name in rows:
        content, gram, style = np.mean(rows[name], axis=0)
        total, spent = content + options.gram_weight * gram, np.mean(seconds[name])
        print(
            f"| {name} | {content:.3f} | {gram:.4f} | {style:.3f} | {total:.3f} | {total / best:.2f} | {spent:.3f} | "
            f"{spent / np.mean(seconds[last]):.2%} |",
            flush=True,
        )
    kgen.visualization.save_images(options.output, np.stack(shown), columns=4 * len(styles))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=540, help="of training")
    parser.add_argument("--load", help="directory of a preset to measure instead of training")
    parser.add_argument("--preset", help="directory to save the trained model to")
    parser.add_argument("--crops", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=128, help="of the crops")
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--objective", choices=["adain", "gatys"], default="gatys")
    parser.add_argument("--policy", default="float32", help="dtype policy of training; mixed_bfloat16 where it is fast")
    parser.add_argument("--style-weight", type=float, help="relative to content; default: 10 for adain, 1 for gatys")
    parser.add_argument("--identity-weight", type=float, default=1.0)
    parser.add_argument("--gram-weight", type=float, default=1.0)
    parser.add_argument("--steps", type=int, nargs="+", default=[30, 300], help="of the optimisation")
    parser.add_argument("--test-size", type=int, default=192)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="style_transfer.png", help="PNG file: photo, style, one pass, Gatys")
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    model = kgen.models.StyleTransfer.from_preset(options.load) if options.load else train(options)
    compare(model, options)


if __name__ == "__main__":
    main()
