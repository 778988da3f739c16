"""The recipe of the Keras.io example "WGAN-GP overriding Model.train_step" (Nain 2020), for Fashion-MNIST."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from gan_peers.keras_dcgan import run

LATENT_DIM, BATCH, CRITIC_STEPS, PENALTY = 128, 512, 3, 10.0


def networks():
    generator = keras.Sequential([keras.Input((LATENT_DIM,)), layers.Dense(4 * 4 * 256, use_bias=False)])
    generator.add(layers.BatchNormalization())
    generator.add(layers.LeakyReLU(0.2))
    generator.add(layers.Reshape((4, 4, 256)))
    for filters, activation in ((128, layers.LeakyReLU(0.2)), (64, layers.LeakyReLU(0.2)), (1, "tanh")):
        generator.add(layers.UpSampling2D())
        generator.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        generator.add(layers.BatchNormalization())
        generator.add(layers.Activation(activation))
    generator.add(layers.Cropping2D(2))
    critic = keras.Sequential([keras.Input((28, 28, 1)), layers.ZeroPadding2D(2)])
    for filters, dropout in ((64, 0.0), (128, 0.3), (256, 0.3), (512, 0.0)):
        critic.add(layers.Conv2D(filters, 5, strides=2, padding="same"))
        critic.add(layers.LeakyReLU(0.2))
        if dropout:
            critic.add(layers.Dropout(dropout))
    critic.add(layers.Flatten())
    critic.add(layers.Dropout(0.2))
    critic.add(layers.Dense(1))
    return generator, critic


def train(images, seconds):
    generator, critic = networks()
    optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.5, beta_2=0.9) for _ in range(2)]

    def drawn():
        return generator(tf.random.normal((BATCH, LATENT_DIM)), training=True)

    def penalty(real, fake):
        # The example draws normal weights, not uniform ones, and so does this.
        between = real + tf.random.normal((BATCH, 1, 1, 1)) * (fake - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            scores = critic(between, training=True)
        slope = tf.norm(tf.reshape(tape.gradient(scores, between), (BATCH, -1)), axis=1)
        return tf.reduce_mean((slope - 1.0) ** 2)

    @tf.function
    def step(real):
        for _ in range(CRITIC_STEPS):
            with tf.GradientTape() as tape:
                fake = drawn()
                scores = tf.reduce_mean(critic(fake, training=True)) - tf.reduce_mean(critic(real, training=True))
                loss = scores + PENALTY * penalty(real, fake)
            optimizers[0].apply(tape.gradient(loss, critic.trainable_variables), critic.trainable_variables)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(drawn(), training=True))
        optimizers[1].apply(tape.gradient(loss, generator.trainable_variables), generator.trainable_variables)

    for network, optimizer in zip((critic, generator), optimizers):
        optimizer.build(network.trainable_variables)
    scaled = (images / np.float32(127.5) - 1).astype("float32")
    data = tf.data.Dataset.from_tensor_slices(scaled).shuffle(1024).repeat().batch(BATCH).prefetch(8)
    steps = run(step, data, seconds)

    def draw(count):
        made = generator.predict(keras.random.normal((count, LATENT_DIM)), batch_size=250, verbose=0)
        return np.round((made + 1) * 127.5).astype("uint8")

    return draw, steps
