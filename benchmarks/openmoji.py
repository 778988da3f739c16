"""How well a text-to-image model draws OpenMoji: sharpness, distance from the originals, descriptions, other names.

    python benchmarks/openmoji.py openmoji_128
    python benchmarks/openmoji.py tiny_f8               # an autoencoder: its reconstructions of the originals

It takes a preset, or a directory of one, and draws the name of each emoji at 128 pixels. How often names themselves are
drawn right is in the table that `kgen/presets/openmoji_64/train.py` prints.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image

import kgen
from kgen.models import TextToImage

# Images are compared by mean colours of 16 x 16 areas.
COLOURS = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
# Descriptions without the name of the thing, and that name; never trained on.
DESCRIPTIONS = {
    "something to keep the rain off": "umbrella", "it opens a door": "key", "you tell the time with it": "watch",
    "a striped horse": "zebra", "a big grey animal with a trunk": "elephant", "the king of the jungle": "lion",
    "a bird that cannot fly and lives in the ice": "penguin", "a sea animal with eight arms": "octopus",
    "it makes honey": "honeybee", "a long yellow fruit that monkeys like": "banana",
    "a fruit for making wine": "grapes", "round flat food from Italy with cheese": "pizza",
    "a hot drink in a cup": "hot beverage", "a sweet cake with candles": "birthday cake",
    "a machine that flies to the moon": "rocket", "a vehicle with two wheels and pedals": "bicycle",
    "it puts out fires": "fire engine", "it takes sick people to hospital": "ambulance",
    "a boat with sails": "sailboat", "a place where books are borrowed": "books",
    "a tool for cutting paper": "scissors", "a tool to hit nails": "hammer", "you write with it": "pencil",
    "it lights up a dark room": "light bulb", "an instrument with six strings": "guitar",
    "an instrument with black and white keys": "musical keyboard", "it is kicked into a goal": "soccer ball",
    "a cold man made in winter": "snowman", "colours in the sky after rain": "rainbow",
    "it shines in the sky by day": "sun", "a mountain that spits fire": "volcano",
    "a plant in the desert with spines": "cactus", "a tree of the tropical beach": "palm tree",
    "a house for camping": "tent", "a person who cooks": "cook", "a person who flies to space": "astronaut",
    "a spirit under a white sheet": "ghost", "a being from another planet": "alien",
    "the heart is broken": "broken heart", "a face that cries": "crying face",
    "a face with dark glasses": "smiling face with sunglasses", "a machine that takes photographs": "camera",
    "a phone to carry around": "mobile phone", "money in a bag": "money bag", "a prize for the winner": "trophy",
    "glasses to see better": "glasses", "worn on the head by a king": "crown", "shoes to run in": "running shoe",
    "a slow animal with a shell on its back": "turtle", "an animal that hops and has long ears": "rabbit",
}  # fmt: skip
# As many others, which were written after everything about the presets was chosen.
OTHER_DESCRIPTIONS = {
    "it wakes you up in the morning": "alarm clock", "furniture to sit on": "chair",
    "a bird that hunts mice at night": "owl", "an animal that carries people through the desert": "camel",
    "it has a very long neck and eats leaves": "giraffe", "a black and white bear that eats bamboo": "panda",
    "an insect with colourful wings": "butterfly", "it spins a web": "spider",
    "a farm animal that gives milk": "cow", "a pink farm animal with a curly tail": "pig",
    "a small animal that eats cheese": "mouse", "the animal that pulls a sledge at Christmas": "deer",
    "a big fish with sharp teeth": "shark", "the largest animal in the ocean": "whale",
    "a man-eating striped cat": "tiger", "a yellow sour fruit": "lemon",
    "an orange vegetable that rabbits eat": "carrot", "a vegetable that makes you cry": "onion",
    "a frozen sweet in a cone": "ice cream", "meat in a round bun": "hamburger",
    "a sweet ring with a hole": "doughnut", "food from a hen": "egg",
    "a drink made from hops": "beer mug", "a bottle that is opened at a party": "bottle with popping cork",
    "a machine to wash and dry your hair": "shower", "it cleans your teeth": "toothbrush",
    "a hole in the wall to look out of": "window", "you sleep in it": "bed",
    "you carry your books to school in it": "backpack", "a ring for a wedding": "ring",
    "it flies with passengers": "airplane", "a train under the ground": "metro",
    "a large vehicle for many passengers": "bus", "it takes off straight up with a rotor": "helicopter",
    "a farmer drives it on the field": "tractor", "a building for praying to Jesus": "church",
    "a building where children learn": "school", "a home for a king": "castle",
    "white flakes that fall from the sky": "snowflake", "it lights the night sky": "full moon",
    "a storm that spins": "tornado", "a red flower for lovers": "rose",
    "tall yellow flower that turns to the light": "sunflower", "two fingers up for peace": "victory hand",
    "it beats in your chest": "red heart", "a man with a red suit who brings presents": "Santa Claus",
    "a woman with a fish tail": "mermaid", "a creature that drinks blood": "vampire",
    "a game with kings and pawns": "chess pawn", "you hit it with a racket": "tennis",
}  # fmt: skip


def described(model, images, descriptions):
    """How often a description's image is closest to its own out of 100, the others at random, over many draws."""
    number = {each[0]: i for i, each in enumerate(images.captions)}
    drawn = COLOURS.extract(model.generate(list(descriptions), seed=1, verbose=0), verbose=0)
    real = COLOURS.extract(images.images, verbose=0)
    random, right = np.random.default_rng(0), []
    for found, name in zip(drawn, descriptions.values()):
        distances = np.square(real - found).sum(axis=1)
        others = np.delete(distances, number[name])
        right += [distances[number[name]] < random.choice(others, 99, replace=False).min() for _ in range(100)]
    return np.mean(right)


def not_remembered(model, images):
    """How often the last name of an emoji draws the right one of 100 if the memory knows only its other names."""
    names = [each[:-1] or each for each in images.captions]
    model.remember(names, sharpness=model.memory.sharpness, verbose=0)
    asked = {i: each[-1] for i, each in enumerate(images.captions) if len(each) > 1}
    recall = kgen.metrics.RetrievalRecall(COLOURS, among=100, similarity="euclidean")
    recall.update_state(images.images[list(asked)], model.generate(list(asked.values()), seed=1, verbose=0))
    return len(asked), recall.result()["recall_at_1_colours"]


def laplacian_variance(images):
    grey = images.astype("float32").mean(axis=-1)
    sides = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return float(np.mean((sides - 4.0 * grey[:, 1:-1, 1:-1]).var(axis=(1, 2))))


def measure(name, size=128):
    """Prints the three numbers, at `size` pixels."""
    real, model = kgen.data.openmoji(size, verbose=False), kgen.presets.load_preset(name)
    draws = isinstance(model, TextToImage)
    names = [each[0] for each in real.captions]
    drawn = model.generate(names, seed=1, verbose=0) if draws else model.reconstruct(real.images, verbose=0)
    if drawn.shape[1] != size:
        drawn = np.stack([Image.fromarray(each).resize((size, size), Image.Resampling.BICUBIC) for each in drawn])

    distance = kgen.metrics.FrechetDistance("efficientnet_lite0")
    distance.update_state(real.images, drawn)
    sharpness = laplacian_variance(drawn) / laplacian_variance(real.images)
    print(f"at {size} px: Laplacian variance {sharpness:.0%} of the originals'")
    print(f"Frechet distance in features of EfficientNet-Lite0 {distance.result():.1f}", flush=True)
    if draws:
        for which, texts in (("the", DESCRIPTIONS), ("other", OTHER_DESCRIPTIONS)):
            print(f"right one of 100 for {described(model, real, texts):.1%} of {which} {len(texts)} descriptions")
        print("right one of 100 for {1:.1%} of {0} last names, not remembered".format(*not_remembered(model, real)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset", help="a text-to-image model or an autoencoder: a preset, or a directory of one")
    measure(parser.parse_args().preset)


if __name__ == "__main__":
    main()
