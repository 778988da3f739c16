"""The recipe of the Keras.io example "GAN overriding Model.train_step" (Chollet 2019), at its 28 x 28 pixels."""

import time

import keras
import numpy as np
import tensorflow as tf
from keras import layers

LATENT_DIM, BATCH = 128, 64


def networks():
    generator = keras.Sequential([keras.Input((LATENT_DIM,)), layers.Dense(7 * 7 * 128), layers.LeakyReLU(0.2)])
    generator.add(layers.Reshape((7, 7, 128)))
    for _ in range(2):
        generator.add(layers.Conv2DTranspose(128, 4, strides=2, padding="same"))
        generator.add(layers.LeakyReLU(0.2))
    generator.add(layers.Conv2D(1, 7, padding="same", activation="sigmoid"))
    discriminator = keras.Sequential([keras.Input((28, 28, 1))])
    for filters in (64, 128):
        discriminator.add(layers.Conv2D(filters, 3, strides=2, padding="same"))
        discriminator.add(layers.LeakyReLU(0.2))
    discriminator.add(layers.GlobalMaxPooling2D())
    discriminator.add(layers.Dense(1))
    return generator, discriminator


def train(images, seconds):
    generator, discriminator = networks()
    optimizers = [keras.optimizers.Adam(3e-4) for _ in range(2)]
    cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def minimise(loss_of, network, optimizer):
        with tf.GradientTape() as tape:
            loss = loss_of()
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    def discriminator_loss(real):
        fake = generator(tf.random.normal((BATCH, LATENT_DIM)))
        # Here 1 is the label of generated images; labels get noise from 0 to 0.05.
        labels = tf.concat([tf.ones((BATCH, 1)), tf.zeros((BATCH, 1))], axis=0)
        labels += 0.05 * tf.random.uniform(tf.shape(labels))
        return cross_entropy(labels, discriminator(tf.concat([fake, real], axis=0)))

    def generator_loss():
        fake = generator(tf.random.normal((BATCH, LATENT_DIM)))
        return cross_entropy(tf.zeros((BATCH, 1)), discriminator(fake))

    @tf.function
    def step(real):
        minimise(lambda: discriminator_loss(real), discriminator, optimizers[0])
        minimise(generator_loss, generator, optimizers[1])

    for network, optimizer in zip((discriminator, generator), optimizers):
        optimizer.build(network.trainable_variables)
    scaled = (images / np.float32(255)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices(scaled).shuffle(1024).repeat().batch(BATCH).prefetch(32)
    steps = run(step, data, seconds)

    def draw(count):
        drawn = generator.predict(keras.random.normal((count, LATENT_DIM)), batch_size=250, verbose=0)
        return np.round(drawn * 255).astype("uint8")

    return draw, steps


def run(step, data, seconds):
    """Trains for the given processor time, not counting the first step, in which TensorFlow traces."""
    begin = None
    for count, batch in enumerate(data, start=1):
        step(batch)
        begin = begin or time.process_time()
        if time.process_time() - begin >= seconds:
            return count
