"""Recipes of other projects for the GAN benchmark, rewritten with the same networks, losses, optimizers and batches.

Each module has `train(images, seconds)`. It takes uint8 images `(N, 28, 28, 1)`, trains for that long, not counting the
first step, and returns `(draw, steps)`: `draw(count)` gives uint8 images of the same size, and `steps` is the number of
generator steps.
"""
