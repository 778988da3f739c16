"""The recipe of the PyTorch-GAN collection's DCGAN (Linder-Norén 2018), at its 32 x 32 pixels, on
unmodified PyTorch."""

import time

import numpy as np
import torch
from torch import nn

LATENT_DIM, BATCH, SIZE, MARGIN = 100, 64, 32, 2


def networks():
    coarse = SIZE // 4
    generator = nn.Sequential(nn.Linear(LATENT_DIM, 128 * coarse**2), nn.Unflatten(1, (128, coarse, coarse)))
    generator.append(nn.BatchNorm2d(128))
    for channels, filters in ((128, 128), (128, 64)):
        # 0.8 is the example's epsilon.
        block = (nn.Upsample(scale_factor=2), nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters, 0.8))
        generator.extend([*block, nn.LeakyReLU(0.2, inplace=True)])
    generator.extend([nn.Conv2d(64, 1, 3, padding=1), nn.Tanh()])
    discriminator, channels = nn.Sequential(), 1
    for filters in (16, 32, 64, 128):
        discriminator.extend([nn.Conv2d(channels, filters, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True)])
        discriminator.append(nn.Dropout2d(0.25))
        if filters in (32, 64):
            discriminator.append(nn.BatchNorm2d(filters, 0.8))
        channels = filters
    discriminator.extend([nn.Flatten(), nn.Linear(128 * (SIZE // 16) ** 2, 1), nn.Sigmoid()])
    for layer in [*generator, *discriminator]:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    return generator, discriminator


def train(images, seconds):
    torch.set_num_threads(1)
    generator, discriminator = networks()
    optimizers = [torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (generator, discriminator)]
    cross_entropy = nn.BCELoss()
    real_labels, fake_labels = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    # The example enlarges images to 32 pixels; a black margin avoids the blur.
    padded = torch.from_numpy(images.astype("float32") / 127.5 - 1).permute(0, 3, 1, 2)
    padded = nn.functional.pad(padded, (MARGIN,) * 4, value=-1.0)

    def step(real):
        optimizers[0].zero_grad()
        fake = generator(torch.randn(BATCH, LATENT_DIM))
        cross_entropy(discriminator(fake), real_labels).backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        loss = cross_entropy(discriminator(real), real_labels)
        (0.5 * (loss + cross_entropy(discriminator(fake.detach()), fake_labels))).backward()
        optimizers[1].step()

    begin, steps = None, 0
    while begin is None or time.process_time() - begin < seconds:
        step(padded[torch.randint(len(padded), (BATCH,))])
        steps += 1
        begin = begin or time.process_time()

    @torch.no_grad()
    def draw(count):
        generator.eval()
        parts = [generator(torch.randn(250, LATENT_DIM)) for _ in range(-(-count // 250))]
        made = torch.cat(parts)[:count, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return np.round((made.permute(0, 2, 3, 1).clamp(-1, 1).numpy() + 1) * 127.5).astype("uint8")

    return draw, steps
