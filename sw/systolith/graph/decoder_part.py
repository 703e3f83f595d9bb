"""The part of a graph that is a language model, from token numbers to logits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from systolith_sim.transformer.decoder_reference import FloatDecoder, FloatDecoderLayer

from .graph import Graph, GraphError, Node
from .operators.decoder import DECODER_PARAMETERS
from .optimise.links import Links

__all__ = ["DecoderPart", "find_decoder", "float_decoder"]


@dataclass(frozen=True)
class DecoderPart:
    """Nodes that are a language model together.

    Parameters
    ----------
    embedding : Node
        Looks up a row for each token.
    layers : list of Node
    norm, head : Node
    """

    embedding: Node
    layers: list[Node]
    norm: Node
    head: Node

    @property
    def tokens(self) -> str:
        """The tensor that goes in."""
        return self.embedding.inputs[1]

    @property
    def logits(self) -> str:
        """The tensor that comes out."""
        return self.head.output

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in their order."""
        return [self.embedding, *self.layers, self.norm, self.head]


def find_decoder(graph: Graph) -> DecoderPart | None:
    """Return the first language model in a graph whose layers have been recognised."""
    links = Links(graph)
    found = (_ending(links, node) for node in graph.nodes if node.operator == "RMSNormalization")
    return next((part for part in found if part), None)


def _ending(links: Links, norm: Node) -> DecoderPart | None:
    """Return the model whose last norm this is."""
    layers = [*_layers(links, norm.inputs[0])][::-1]
    embedding = layers and links.maker(layers[0].inputs[0], "Gather")
    heads = [node for node in links.takers.get(norm.output, []) if node.operator == "Linear"]
    if not embedding or len(heads) != 1:
        return None
    table = links.constant(embedding.inputs[0])
    rows = table is not None and table.ndim == 2 and embedding.attributes.get("axis", 0) == 0
    return DecoderPart(embedding, layers, norm, heads[0]) if rows else None


def _layers(links: Links, name: str) -> Iterator[Node]:
    """Yield the layers that make a tensor, the last one first."""
    while node := links.maker(name, "DecoderLayer"):
        yield node
        name = node.inputs[0]


def float_decoder(graph: Graph, part: DecoderPart, context: int) -> FloatDecoder:
    """Return a part's weights, for texts of at most ``context`` tokens.

    Raises
    ------
    GraphError
        If layers differ in what they must have in common, or the head adds a bias.
    """
    first = part.layers[0].attributes
    for name in ("heads", "key_heads", "rotary_base", "epsilon"):
        found = [layer.attributes[name] for layer in part.layers]
        if name == "epsilon":
            found.append(part.norm.attributes.get("epsilon", 1e-5))
            found = [_shortest(value) for value in found]
        others = [value for value in found if value != found[0]]
        if others:
            raise GraphError(
                f"a language model's layers must have one {name}, but there are {found[0]} and "
                f"{others[0]}"
            )
    head = graph.constants[part.head.inputs[1]]
    if len(part.head.inputs) > 2 and graph.constants[part.head.inputs[2]].any():
        raise GraphError(f"{part.head} adds a bias to logits, which the core does not")
    embedding = _float(graph.constants[part.embedding.inputs[0]])
    gamma = [graph.constants[name] for name in part.norm.inputs[1:2]]
    return FloatDecoder(
        heads=first["heads"], key_heads=first["key_heads"], epsilon=_shortest(first["epsilon"]),
        rotary_base=first["rotary_base"], context=context, embedding=embedding, positions=None,
        layers=[_layer(graph, layer) for layer in part.layers],
        norm=_float(gamma[0] if gamma else np.ones(embedding.shape[1])), head=_float(head).T,
    )  # fmt: skip


def _layer(graph: Graph, node: Node) -> FloatDecoderLayer:
    """Return a layer's weights; scores' scale goes into the query, as far as it differs."""
    values = {
        name: _float(graph.constants[tensor])
        for name, tensor in zip(DECODER_PARAMETERS, node.inputs[1:], strict=True)
    }
    layer = FloatDecoderLayer(**values)
    scale = node.attributes["scale"]
    usual = (layer.query.shape[1] // node.attributes["heads"]) ** -0.5
    return layer if scale == usual else replace(layer, query=layer.query * (scale / usual))


def _shortest(value: float) -> float:
    """Return the shortest decimal number that is the same in float32."""
    return float(str(np.float32(value)))


def _float(value: NDArray) -> NDArray[np.float32]:
    return value.astype(np.float32, copy=False)
