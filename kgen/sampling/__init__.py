"""How models generate: latents, priors that are learned after training, post-processing, tiles, metrics of samples."""
