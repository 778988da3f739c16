"""What a trained model says of images: their latents, how likely they are, what they were without noise."""
