"""The smallest GAN: two Sequential networks learn Fashion-MNIST in kgen.models.GAN. Writes gan_minimal.png.

Explained in notebooks/gan.ipynb.
"""

import keras

import kgen

images, _ = kgen.data.fashion_mnist("train")  # uint8 (60000, 28, 28, 1)
generator = keras.Sequential([keras.Input((100,))])
for units in (256, 512, 1024):
    generator.add(keras.layers.Dense(units, activation="leaky_relu"))
generator.add(keras.layers.Dense(28 * 28, activation="tanh"))
generator.add(keras.layers.Reshape((28, 28, 1)))

discriminator = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
for units in (1024, 512, 256):
    discriminator.add(keras.layers.Dense(units, activation="leaky_relu"))
    discriminator.add(keras.layers.Dropout(0.3))
discriminator.add(keras.layers.Dense(1))  # a logit: the losses take the sigmoid

gan = kgen.models.GAN(generator, discriminator, latent_dim=100)
gan.compile(loss="non_saturating")
gan.fit(images, batch_size=64, epochs=5)
kgen.visualization.save_images("gan_minimal.png", gan.generate(64, seed=0))
print("64 generated images are in gan_minimal.png.")
