"""Side-by-side timings of gradsim, JAX, PyTorch and the machine's own limits."""
