"""Models as graphs of named operators: read, executed in float, rewritten, and cut in parts."""

from .graph import RUNTIMES, Graph, GraphError, Node, TensorType

__all__ = ["RUNTIMES", "Graph", "GraphError", "Node", "TensorType"]
