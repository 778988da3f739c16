"""Time of one 128 x 128 image from one prompt on one core, next to diffusion and other text-to-image GANs.

    python benchmarks/one_prompt.py --core 0 --json times.json

The contenders:

- `TextToImage.generate` of the presets, from prompt to pixels; one of them as its bare graph; the decoder alone;
- diffusion by a network with as many weights as that preset's generator, in latents and in pixels: the U-Net of Keras'
  example, 20 steps of DDIM [Song et al. 2021] without guidance, in one compiled graph;
- the generators of DF-GAN [Tao et al. 2022] and GigaGAN [Kang et al. 2023], written anew in PyTorch, eager and with
  `torch.compile`, which needs a C++ compiler.

Only the presets are trained. The others have random weights and draw noise, since the time does not depend on weights.
The text encoders of DF-GAN (an LSTM) and GigaGAN (CLIP) are left out, which favours both. All contenders run in one
process on one core and alternate; the table has medians of processor time.
"""

import argparse
import functools
import itertools
import json
import math
import os
import pathlib
import statistics
import time

# The first is the one that others are compared with; the last has 64 pixels a side.
PRESETS = "openmoji_128", "avatars_128", "scenes_128", "openmoji_64"
SIDE, STEPS = 128, 20
# Filters of the U-Net at each of its sizes. The example has 32, 64, 96 and 128.
FILTERS = 32, 64, 112, 160


def prompts():
    """Endless prompts, each different from the last."""
    words = ["small", "large", "old"], ["red", "green", "blue"], ["cat", "apple", "house", "car", "tree"]
    for size, color, thing in itertools.cycle(itertools.product(*words)):
        yield f"a {size} {color} {thing} beside a chair"


# === Keras ===
def u_net(side, channels, text_dim):
    """The U-Net of keras.io's "Denoising Diffusion Implicit Models", which also reads text features.

    Two residual blocks at each of four sizes. The text features are projected to 32 numbers and concatenated to every
    pixel, like the embedding of the noise variance.
    """
    import keras
    from keras import layers, ops

    def residual_block(x, filters):
        short = x if x.shape[-1] == filters else layers.Conv2D(filters, 1)(x)
        x = layers.BatchNormalization(center=False, scale=False)(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="swish")(x)
        return layers.Add()([layers.Conv2D(filters, 3, padding="same")(x), short])

    def sinusoids(variance):
        angles = 2 * math.pi * ops.exp(ops.linspace(0.0, math.log(1000.0), 16)) * variance
        return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)

    inputs = noisy, variance, text = [keras.Input(shape) for shape in ((side, side, channels), (1,), (text_dim,))]
    known = layers.Concatenate()([layers.Lambda(sinusoids, output_shape=(32,))(variance), layers.Dense(32)(text)])
    known = layers.UpSampling2D(side)(layers.Reshape((1, 1, 64))(known))
    x, skips = layers.Concatenate()([layers.Conv2D(FILTERS[0], 1)(noisy), known]), []
    for filters in FILTERS[:-1]:
        for _ in range(2):
            x = residual_block(x, filters)
            skips.append(x)
        x = layers.AveragePooling2D(2)(x)
    for _ in range(2):
        x = residual_block(x, FILTERS[-1])
    for filters in FILTERS[-2::-1]:
        x = layers.UpSampling2D(interpolation="bilinear")(x)
        for _ in range(2):
            x = residual_block(layers.Concatenate()([x, skips.pop()]), filters)
    return keras.Model(inputs, layers.Conv2D(channels, 1)(x))


def diffusion(model, network, finish):
    """A compiled function from noise and text features to the finished result of the last step."""
    import tensorflow as tf
    from keras import ops

    # Cosines are the shares of the image, sines those of the noise.
    angles = [math.acos(0.02) + step / STEPS * (math.acos(0.95) - math.acos(0.02)) for step in range(STEPS + 1)]

    def draw(values, pooled):
        text = model.condition({"pooled": pooled})["pooled"]
        for now, then in itertools.pairwise(angles):
            noise = network([values, ops.full((1, 1), math.sin(now) ** 2), text], training=False)
            made = (values - math.sin(now) * noise) / math.cos(now)
            values = math.cos(then) * made + math.sin(then) * noise
        return finish(made)

    shapes = (1, *network.output_shape[1:]), (1, model.text_encoder.pooled_dim)
    return tf.function(draw, autograph=False).get_concrete_function(*map(tf.TensorSpec, shapes))


def keras_contenders():
    """`{what: (weights of its parts, function that draws one image)}`; the last part decodes latents."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    # TensorFlow turns these convolution kernels on by itself only if the processor has AVX-512.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    import numpy as np
    import tensorflow as tf

    import kgen
    from kgen.inputs import pixels
    from kgen.training import backend

    tf.config.threading.set_intra_op_parallelism_threads(1)
    texts, seeds, contenders = prompts(), itertools.count(), {}
    models = [kgen.models.TextToImage.from_preset(name) for name in PRESETS]
    for name, model in zip(PRESETS, models):
        parts = model.generator, getattr(model.codes, "network", None), getattr(model.space, "decoder", None)
        weights = [part.count_params() for part in parts if part is not None]
        contenders[name] = weights, lambda model=model: model.generate(next(texts), seed=next(seeds))
    model, reader, (weights, _) = models[0], models[0].sampler.prompts, contenders[PRESETS[0]]
    tokens = model.text_encoder.tokenize([next(texts)])
    # The length that `generate` uses.
    inputs = {name: tokens[name][:, :16] for name in model.text_encoder.token_signature()}
    inputs["latents"] = np.random.default_rng(0).standard_normal((1, model.latent_dim), "float32")
    graph = backend.compiled(model.sampler.serve_tensors, lambda: model.variables)
    contenders[f"{PRESETS[0]}, its graph alone, from token ids"] = weights, lambda: graph(inputs)["images"]

    decode = backend.compiled(lambda inputs: model.sampler.finished(inputs["latents"]), lambda: [])
    made = {"latents": np.zeros((1, *model.generator.output_shape[1:]), "float32")}
    contenders["tiny_f8, the decoder alone"] = weights[-1:], lambda: decode(made)

    def diffuse(graph, shape):
        pooled = reader.features(reader.read([next(texts)], "one_prompt"), tokens=False)["pooled"]
        noise = np.random.default_rng(next(seeds)).standard_normal((1, *shape), "float32")
        return graph(tf.constant(noise), tf.constant(pooled)).numpy()

    in_latents = "latents", model.generator.output_shape[1:], model.sampler.finished, weights[1:]
    in_pixels = "pixels", (SIDE, SIDE, 3), pixels.to_uint8, []
    for what, shape, finish, decoder in (in_latents, in_pixels):
        network = u_net(shape[0], shape[-1], model.text_encoder.pooled_dim)
        assert abs(network.count_params() / weights[0] - 1) < 0.05
        draw = functools.partial(diffuse, diffusion(model, network, finish), shape)
        contenders[f"diffusion in {what}, {STEPS} steps"] = [network.count_params(), *decoder], draw
    return contenders


# === PyTorch ===
def torch_generators():
    """The classes of both generators, DF-GAN and GigaGAN."""
    import torch
    from torch import nn

    class Affine(nn.Module):
        """Scales and shifts channels by the outputs of two small networks that read a condition; then ReLU."""

        def __init__(self, condition, channels):
            super().__init__()
            layers = [(nn.Linear(condition, channels), nn.ReLU(), nn.Linear(channels, channels)) for _ in range(2)]
            self.scale, self.shift = (nn.Sequential(*each) for each in layers)

        def forward(self, x, c):
            return nn.functional.relu(self.scale(c)[..., None, None] * x + self.shift(c)[..., None, None])

    class UpBlock(nn.Module):
        """A residual block at twice the size: two affine layers before each of two convolutions."""

        def __init__(self, condition, inputs, outputs):
            super().__init__()
            self.affine = nn.ModuleList(Affine(condition, width) for width in (inputs, inputs, outputs, outputs))
            self.first, self.second = (nn.Conv2d(width, outputs, 3, padding=1) for width in (inputs, outputs))
            self.short = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

        def forward(self, x, c):
            x = nn.functional.interpolate(x, scale_factor=2)
            h = self.first(self.affine[1](self.affine[0](x, c), c))
            return self.short(x) + self.second(self.affine[3](self.affine[2](h, c), c))

    class DFGAN(nn.Module):
        """From 100 normal numbers and the sentence vector of an LSTM."""

        shapes = (100,), (256,)

        def __init__(self, width=32):
            super().__init__()
            channels = [width * min(2**i, 8) for i in reversed(range(int(math.log2(SIDE)) - 1))]
            self.start = nn.Linear(100, channels[0] * 4 * 4)
            self.blocks = nn.ModuleList(UpBlock(100 + 256, *pair) for pair in itertools.pairwise(channels))
            self.end = nn.Conv2d(channels[-1], 3, 3, padding=1)

        def forward(self, z, sentence):
            x, c = self.start(z).unflatten(1, (-1, 4, 4)), torch.cat([z, sentence], 1)
            for block in self.blocks:
                x = block(x, c)
            return torch.tanh(self.end(nn.functional.leaky_relu(x, 0.2)))

    class AdaptiveConv(nn.Module):
        """A convolution of one image: a style mixes its kernel from several, then modulates it."""

        def __init__(self, inputs, outputs, style, kernels, size=3):
            super().__init__()
            self.kernels = nn.Parameter(torch.randn(kernels, outputs, inputs, size, size) / (size * math.sqrt(inputs)))
            self.bias = nn.Parameter(torch.zeros(outputs))
            self.select, self.modulate = nn.Linear(style, kernels), nn.Linear(style, inputs)

        def forward(self, x, w):
            shares = torch.softmax(self.select(w)[0], 0)
            kernel = (shares @ self.kernels.flatten(1)).view(self.kernels.shape[1:])
            kernel = kernel * (1 + self.modulate(w)).view(1, -1, 1, 1)
            # The layers to RGB are not demodulated, as in StyleGAN2.
            if kernel.shape[-1] > 1:
                kernel = kernel * torch.rsqrt(kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8)
            return nn.functional.conv2d(x, kernel, self.bias, padding=kernel.shape[-1] // 2)

    class Attention(nn.Module):
        """Cross-attention to the tokens of a text, or self-attention by L2 distance with shared queries and keys."""

        def __init__(self, channels, text=None):
            super().__init__()
            self.query, self.end = nn.Linear(channels, channels), nn.Linear(channels, channels)
            self.key = nn.Linear(text, channels) if text else None
            self.value = nn.Linear(text or channels, channels)

        def forward(self, x, text=None):
            places, bias = x.flatten(2).transpose(1, 2), None
            query, value = self.query(places), self.value(places if text is None else text)
            key = query if text is None else self.key(text)
            head = x.shape[1] if x.shape[1] % 64 else 64
            query, key, value = (each.unflatten(-1, (-1, head)).transpose(1, 2) for each in (query, key, value))
            if text is None:
                # The softmax of -(q - k)^2 does not depend on q^2.
                query, bias = 2 * query, -key.square().sum(-1).unsqueeze(-2) / math.sqrt(head)
            mixed = nn.functional.scaled_dot_product_attention(query, key, value, bias).transpose(1, 2).flatten(2)
            return x + self.end(mixed).transpose(1, 2).unflatten(2, x.shape[2:])

    class GigaGAN(nn.Module):
        """From 128 normal numbers, CLIP's vector of a text and those of its tokens."""

        shapes = (128,), (768,), (77, 768)

        def __init__(self, width, style, kernels):
            super().__init__()
            sizes = [128 + 768, style, style, style, style]
            layers = ((nn.Linear(*pair), nn.LeakyReLU(0.2)) for pair in itertools.pairwise(sizes))
            self.mapping = nn.Sequential(*itertools.chain(*layers))
            self.start = nn.Parameter(torch.randn(1, width, 4, 4))
            self.blocks, inputs = nn.ModuleList(), width
            for side in (4, 8, 16, 32, 64, 128):
                outputs = min(width, 32 * width // side)
                first, second = (AdaptiveConv(each, outputs, style, kernels) for each in (inputs, outputs))
                block = {"first": first, "second": second, "rgb": AdaptiveConv(outputs, 3, style, kernels, size=1)}
                if 8 <= side <= 32:
                    block |= {"to_itself": Attention(outputs), "to_text": Attention(outputs, 768)}
                self.blocks.append(nn.ModuleDict(block))
                inputs = outputs

        def forward(self, z, sentence, tokens):
            w = self.mapping(torch.cat([nn.functional.normalize(z), sentence], 1))
            x, image = self.start, torch.zeros(1, 3, 4, 4)
            for i, block in enumerate(self.blocks):
                if i:
                    x, image = (nn.functional.interpolate(v, scale_factor=2, mode="bilinear") for v in (x, image))
                for name in ("first", "second"):
                    x = nn.functional.leaky_relu(block[name](x, w), 0.2)
                if "to_text" in block:
                    x = block["to_text"](block["to_itself"](x), tokens)
                image = image + block["rgb"](x, w)
            return image

    return DFGAN, GigaGAN


def torch_contenders(weights):
    """As `keras_contenders`; GigaGAN once with about this many weights, and once larger."""
    import torch

    torch.set_num_threads(1)
    df_gan, giga_gan = torch_generators()

    def size(network):
        return sum(values.numel() for values in network.parameters())

    @torch.inference_mode()
    def draw(network):
        image = network(*[torch.randn(1, *shape) for shape in network.shapes])
        return ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()

    with torch.device("meta"):
        width = min(range(16, 513, 4), key=lambda width: abs(size(giga_gan(width, 256, 4)) - weights))
    networks = {"DF-GAN": df_gan(), f"GigaGAN, {width} channels": giga_gan(width, 256, 4)}
    networks |= {f"{what}, torch.compile": torch.compile(network) for what, network in networks.items()}
    networks["GigaGAN, 512 channels"] = giga_gan(512, 1024, 8)
    return {what: ([size(each)], functools.partial(draw, each.eval())) for what, each in networks.items()}


# === In turns ===
def turn(draw):
    """Milliseconds per image, the mean over half a second; one image before it warms the caches."""
    draw()
    begin, count = time.process_time(), 0
    while not count or time.process_time() - begin < 0.5:
        draw()
        count += 1
    return 1000 * (time.process_time() - begin) / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="turns of each contender")
    parser.add_argument("--quick", action="store_true", help="three turns: rough")
    parser.add_argument("--core", type=int, default=0, help="core that the process is pinned to")
    parser.add_argument("--json", help="file for the times of all turns")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    contenders = keras_contenders()
    contenders |= torch_contenders(contenders[PRESETS[0]][0][0])
    # The first calls compile.
    for what, (_, draw) in contenders.items():
        side = 64 if what == "openmoji_64" else SIDE
        assert draw().size == draw().size == 3 * side**2
    times = {what: [] for what in contenders}
    for _ in range(3 if options.quick else options.repeats):
        for what, (_, draw) in contenders.items():
            times[what].append(turn(draw))
    medians = {what: statistics.median(turns) for what, turns in times.items()}
    print("| what | weights, millions | ms | times as long |\n|-|-|-|-|")
    for what, median in medians.items():
        millions = " + ".join(f"{number / 1e6:.1f}" for number in contenders[what][0])
        print(f"| {what} | {millions} | {median:.1f} | {median / medians[PRESETS[0]]:.1f} |")
    if options.json:
        rows = [{"what": what, "weights": contenders[what][0], "milliseconds": times[what]} for what in times]
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
