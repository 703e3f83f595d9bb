"""Models as graphs of named operators: read, executed in float, rewritten, and cut in parts."""

from .graph import Graph, GraphError, Node, TensorType

__all__ = ["Graph", "GraphError", "Node", "TensorType"]
