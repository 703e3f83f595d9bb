"""Rewrites of graphs. Each leaves what the graph computes, which is tried on random inputs."""

from .passes import PASSES, optimise, prove

__all__ = ["PASSES", "optimise", "prove"]
