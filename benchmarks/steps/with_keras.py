"""The works as a `keras.Model` with a `train_step`, as the examples of keras.io are written, on TensorFlow."""

import keras
import tensorflow as tf
from keras import ops

from benchmarks.steps.works import WORKS, networks


def trainer(name, images):
    """A function that makes so many steps of a work."""
    work = WORKS[name]
    model = {"wgan_gp": _WassersteinGAN, "vae": _VAE}.get(name, _GAN)(work, *networks(name))
    model.compile()
    scaled = images.astype("float32") / (255.0 if name == "vae" else 127.5)
    scaled = scaled if name == "vae" else scaled - 1.0

    def train(steps):
        model.fit(scaled[: steps * work.batch], batch_size=work.batch, epochs=1, verbose=0)

    return train


class _Trained(keras.Model):
    """Two networks, an Adam for each variable group, and a mean of each loss."""

    def __init__(self, work, first, second):
        super().__init__()
        self.work, self.first, self.second = work, first, second
        self.optimizers = [self._adam(), self._adam()]
        self.means = [keras.metrics.Mean(name="first_loss"), keras.metrics.Mean(name="second_loss")]
        self.built = True

    def _adam(self):
        return keras.optimizers.Adam(self.work.rate, beta_1=self.work.beta_1, beta_2=self.work.beta_2)

    @property
    def metrics(self):
        return self.means

    def latents(self, like):
        return keras.random.normal((ops.shape(like)[0], self.work.latent_dim))

    def descend(self, index, loss, tape, variables):
        self.optimizers[index].apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.means[index].update_state(loss)


class _GAN(_Trained):
    """One pass over generated and real images joined, then new latents for the generator; with BatchNorm two passes."""

    def __init__(self, *args):
        super().__init__(*args)
        self.cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        self.joins = not any(isinstance(layer, keras.layers.BatchNormalization) for layer in self.second.layers)

    def train_step(self, real):
        generator, discriminator, cross_entropy = self.first, self.second, self.cross_entropy
        ones, zeros = ops.ones((ops.shape(real)[0], 1)), ops.zeros((ops.shape(real)[0], 1))
        fake = generator(self.latents(real), training=True)
        with tf.GradientTape() as tape:
            if self.joins:
                logits = discriminator(ops.concatenate([fake, real]), training=True)
                loss = cross_entropy(ops.concatenate([zeros, ones]), logits)
            else:
                loss = cross_entropy(ones, discriminator(real, training=True))
                loss += cross_entropy(zeros, discriminator(fake, training=True))
        self.descend(0, loss, tape, discriminator.trainable_variables)
        with tf.GradientTape() as tape:
            fake = generator(self.latents(real), training=True)
            loss = cross_entropy(ones, discriminator(fake, training=True))
        self.descend(1, loss, tape, generator.trainable_variables)
        return {mean.name: mean.result() for mean in self.means}


class _WassersteinGAN(_Trained):
    def penalty(self, real, fake):
        share = keras.random.normal((ops.shape(real)[0], 1, 1, 1))
        between = real + share * (fake - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            scores = self.second(between, training=True)
        slopes = tape.gradient(scores, between)
        return ops.mean((ops.sqrt(ops.sum(ops.square(slopes), axis=(1, 2, 3)) + 1e-12) - 1.0) ** 2)

    def train_step(self, real):
        generator, critic = self.first, self.second
        for _ in range(self.work.critic_steps):
            with tf.GradientTape() as tape:
                fake = generator(self.latents(real), training=True)
                scores = ops.mean(critic(fake, training=True)) - ops.mean(critic(real, training=True))
                loss = scores + 10.0 * self.penalty(real, fake)
            self.descend(0, loss, tape, critic.trainable_variables)
        with tf.GradientTape() as tape:
            loss = -ops.mean(critic(generator(self.latents(real), training=True), training=True))
        self.descend(1, loss, tape, generator.trainable_variables)
        return {mean.name: mean.result() for mean in self.means}


class _VAE(_Trained):
    def train_step(self, images):
        encoder, decoder = self.first, self.second
        with tf.GradientTape() as tape:
            mean, log_variance = ops.split(encoder(images, training=True), 2, axis=-1)
            drawn = mean + ops.exp(0.5 * log_variance) * self.latents(images)
            logits = decoder(drawn, training=True)
            errors = keras.losses.binary_crossentropy(images, logits, from_logits=True)
            error = ops.mean(ops.sum(errors, axis=(1, 2)))
            divergence = -0.5 * (1.0 + log_variance - ops.square(mean) - ops.exp(log_variance))
            loss = error + ops.mean(ops.sum(divergence, axis=1))
        self.descend(0, loss, tape, encoder.trainable_variables + decoder.trainable_variables)
        return {"first_loss": self.means[0].result()}
