"""Models: frozen, validated, hashable descriptions of a network."""

from gradsim._mlp import MLP
from gradsim._rnn import RNN

__all__ = ["MLP", "RNN"]
