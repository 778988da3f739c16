"""The works as loops in PyTorch: as the tutorials write them, or tuned.

Tuned is what a careful user adds without another algorithm: memory as `channels_last`, Adam as one fused kernel, and
in the dense GAN and WGAN-GP no more passes than are needed.
"""

import contextlib

import torch
from torch import nn
from torch.nn import functional

from benchmarks.steps.works import WORKS


def trainer(name, images, bfloat16, tuned):
    """A function that makes so many steps of a work."""
    work = WORKS[name]
    first, second = {"mlp": _mlp, "dcgan_torch": _dcgan_torch, "dcgan_keras": _dcgan_keras, "wgan_gp": _wgan}.get(
        name, _vae
    )(work)
    data = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    if tuned:
        data = data.contiguous(memory_format=torch.channels_last)
        for network in (first, second):
            network.to(memory_format=torch.channels_last)

    def adam(*networks):
        parameters = [p for network in networks for p in network.parameters()]
        return torch.optim.Adam(parameters, lr=work.rate, betas=(work.beta_1, work.beta_2), fused=tuned or None)

    optimizers = [adam(first, second)] if name == "vae" else [adam(second), adam(first)]
    step = {"wgan_gp": _critic_step, "vae": _vae_step}.get(name, _gan_step)
    joined = name in ("mlp", "dcgan_keras")

    def precision():
        return torch.autocast("cpu", torch.bfloat16) if bfloat16 else contextlib.nullcontext()

    def train(steps):
        order = torch.randperm(steps * work.batch)
        for rows in order.split(work.batch):
            real = data[rows].float() / (255.0 if name == "vae" else 127.5)
            step(work, first, second, optimizers, real if name == "vae" else real - 1.0, precision, joined)

    return train


def _bce(logits, target):
    labels = torch.full_like(logits, target)
    return functional.binary_cross_entropy_with_logits(logits, labels)


def _gan_step(work, generator, discriminator, optimizers, real, precision, joined):
    optimizers[0].zero_grad()
    with precision():
        fake = generator(torch.randn(len(real), work.latent_dim))
        if joined:
            logits = discriminator(torch.cat([fake.detach().to(real.dtype), real])).float()
            labels = torch.cat([torch.zeros(len(real), 1), torch.ones(len(real), 1)])
            loss = functional.binary_cross_entropy_with_logits(logits, labels)
        else:
            loss = _bce(discriminator(real).float(), 1.0)
            loss.backward()
            loss = _bce(discriminator(fake.detach()).float(), 0.0)
    loss.backward()
    optimizers[0].step()
    optimizers[1].zero_grad()
    with precision():
        # The tutorial of PyTorch uses the images again, the others draw new ones.
        fake = generator(torch.randn(len(real), work.latent_dim)) if joined else fake
        loss = _bce(discriminator(fake).float(), 1.0)
    loss.backward()
    optimizers[1].step()


def _critic_step(work, generator, critic, optimizers, real, precision, joined):
    for _ in range(work.critic_steps):
        optimizers[0].zero_grad()
        with precision():
            fake = generator(torch.randn(len(real), work.latent_dim)).detach().float()
            scores = critic(fake).float().mean() - critic(real).float().mean()
            between = (real + torch.rand(len(real), 1, 1, 1) * (fake - real)).requires_grad_(True)
            slopes = torch.autograd.grad(critic(between).float().sum(), between, create_graph=True)[0]
        penalty = ((slopes.flatten(1).norm(dim=1) - 1.0) ** 2).mean()
        (scores + 10.0 * penalty).backward()
        optimizers[0].step()
    optimizers[1].zero_grad()
    with precision():
        loss = -critic(generator(torch.randn(len(real), work.latent_dim))).float().mean()
    loss.backward()
    optimizers[1].step()


def _vae_step(work, encoder, decoder, optimizers, images, precision, joined):
    optimizers[0].zero_grad()
    with precision():
        mean, log_variance = encoder(images).float().chunk(2, dim=1)
        drawn = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        logits = decoder(drawn).float()
    error = functional.binary_cross_entropy_with_logits(logits, images, reduction="sum")
    divergence = -0.5 * (1.0 + log_variance - mean**2 - log_variance.exp()).sum()
    ((error + divergence) / len(images)).backward()
    optimizers[0].step()


# === Networks ===
def _mlp(work):
    pixels = work.shape[0] * work.shape[1]
    generator, discriminator = nn.Sequential(), nn.Sequential(nn.Flatten())
    for before, after in ((work.latent_dim, 256), (256, 512), (512, 1024)):
        generator.extend([nn.Linear(before, after), nn.ReLU()])
    generator.extend([nn.Linear(1024, pixels), nn.Tanh(), nn.Unflatten(1, (1, *work.shape[:2]))])
    for before, after in ((pixels, 1024), (1024, 512), (512, 256)):
        discriminator.extend([nn.Linear(before, after), nn.ReLU(), nn.Dropout(0.3)])
    discriminator.append(nn.Linear(256, 1))
    return generator, discriminator


def _dcgan_torch(work):
    generator = nn.Sequential(nn.Unflatten(1, (work.latent_dim, 1, 1)))
    channels = work.latent_dim
    for filters, stride, padding in ((512, 1, 0), (256, 2, 1), (128, 2, 1), (64, 2, 1)):
        generator.append(nn.ConvTranspose2d(channels, filters, 4, stride, padding, bias=False))
        generator.extend([nn.BatchNorm2d(filters), nn.ReLU(True)])
        channels = filters
    generator.extend([nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()])
    discriminator = nn.Sequential(nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True))
    for before, after in ((64, 128), (128, 256), (256, 512)):
        discriminator.extend([nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after)])
        discriminator.append(nn.LeakyReLU(0.2, True))
    discriminator.extend([nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Flatten()])
    for layer in [*generator, *discriminator]:
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    return generator, discriminator


def _dcgan_keras(work):
    generator = nn.Sequential(nn.Linear(work.latent_dim, 8 * 8 * 128), nn.Unflatten(1, (128, 8, 8)))
    for before, after in ((128, 128), (128, 256), (256, 512)):
        generator.extend([nn.ConvTranspose2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)])
    generator.extend([nn.Conv2d(512, 3, 5, padding=2), nn.Tanh()])
    discriminator = nn.Sequential()
    for before, after in ((3, 64), (64, 128), (128, 128)):
        discriminator.extend([nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)])
    discriminator.extend([nn.Flatten(), nn.Dropout(0.2), nn.Linear(8 * 8 * 128, 1)])
    return generator, discriminator


def _wgan(work):
    critic, channels = nn.Sequential(nn.ZeroPad2d(2)), 1
    for filters, dropout in ((64, 0.0), (128, 0.3), (256, 0.3), (512, 0.0)):
        critic.extend([nn.Conv2d(channels, filters, 5, 2, 2), nn.LeakyReLU(0.2), nn.Dropout(dropout)])
        channels = filters
    critic.extend([nn.Flatten(), nn.Dropout(0.2), nn.Linear(512 * 2 * 2, 1)])
    generator = nn.Sequential(nn.Linear(work.latent_dim, 4 * 4 * 256, bias=False), nn.BatchNorm1d(4 * 4 * 256))
    generator.extend([nn.LeakyReLU(0.2), nn.Unflatten(1, (256, 4, 4))])
    for before, after in ((256, 128), (128, 64)):
        generator.extend([nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1, bias=False)])
        generator.extend([nn.BatchNorm2d(after), nn.LeakyReLU(0.2)])
    generator.extend([nn.Upsample(scale_factor=2), nn.Conv2d(64, 1, 3, padding=1, bias=False)])
    generator.extend([nn.BatchNorm2d(1), nn.Tanh(), nn.ZeroPad2d(-2)])
    return generator, critic


def _vae(work):
    encoder = nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten())
    encoder.extend([nn.Linear(64 * 7 * 7, 16), nn.ReLU(), nn.Linear(16, 2 * work.latent_dim)])
    decoder = nn.Sequential(nn.Linear(work.latent_dim, 64 * 7 * 7), nn.ReLU(), nn.Unflatten(1, (64, 7, 7)))
    for before, after in ((64, 64), (64, 32)):
        decoder.extend([nn.ConvTranspose2d(before, after, 3, 2, 1, output_padding=1), nn.ReLU()])
    decoder.append(nn.ConvTranspose2d(32, 1, 3, padding=1))
    return encoder, decoder
