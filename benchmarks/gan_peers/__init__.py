"""Recipes of others for the GAN benchmark, written anew: the same networks, losses, optimizers and batches as theirs.

Each module has `train(images, seconds)`, which takes uint8 images `(N, 28, 28, 1)`, trains for that long not counting
the first step, and returns `(draw, steps)`: `draw(count)` gives uint8 images of that size, and `steps` counts those
of the generator.
"""
