"""The weights of nodes that are encoder layers."""

from collections.abc import Sequence

from systolith_sim.transformer.reference import FloatLayer, FloatLinear, FloatNorm

from .graph import Graph, Node
from .operators.fused import LAYER_PARAMETERS

__all__ = ["float_layers"]


def float_layers(graph: Graph, nodes: Sequence[Node]) -> list[FloatLayer]:
    """Return the weights of encoder layers."""
    return [_float_layer(graph, node) for node in nodes]


def _float_layer(graph: Graph, node: Node) -> FloatLayer:
    """Return an encoder layer's weights; scores' scale goes into the query, as far as it differs.

    The core's own is one over the root of a head's features.
    """
    values = {
        name: graph.constants[tensor]
        for name, tensor in zip(LAYER_PARAMETERS, node.inputs[2:], strict=True)
    }
    heads = node.attributes["heads"]
    usual = (values["query.weights"].shape[1] / heads) ** -0.5
    for part in ("weights", "bias"):
        values[f"query.{part}"] = values[f"query.{part}"] * (node.attributes["scale"] / usual)

    def linear(name: str) -> FloatLinear:
        return FloatLinear(values[f"{name}.weights"], values[f"{name}.bias"])

    def norm(name: str) -> FloatNorm:
        epsilon = node.attributes["epsilon"]
        return FloatNorm(values[f"{name}.gamma"], values[f"{name}.beta"], epsilon)

    return FloatLayer(
        heads=heads, query=linear("query"), key=linear("key"), value=linear("value"),
        output=linear("output"), up=linear("up"), down=linear("down"),
        attention_norm=norm("attention_norm"), output_norm=norm("output_norm"),
        norm_first=node.attributes["norm_first"],
        activation=node.attributes["activation"].lower(),
    )  # fmt: skip
