"""Rewrites of graphs. Each leaves what the graph computes, which is tried on random inputs."""

from .passes import PASSES, Witness, optimise

__all__ = ["PASSES", "Witness", "optimise"]
