"""The compiled core of gradsim: arrays and scalars in, arrays out.

Imports only numba and numpy.  `_jit` holds the only compiler options; `random` the addressed
generator; `vecmath` the elementary functions; `activations` the (value, slope) pairs; `ops` each
operation of a recorded cell beside its vector-Jacobian product; `engine` the one loop that runs
a recorded cell forward and backward.
"""
