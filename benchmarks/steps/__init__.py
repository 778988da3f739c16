"""One training step of the same work in kgen, in Keras alone and in PyTorch: what `benchmarks/run.py` times."""
