"""All rewrites, in the order in which they help each other."""

from collections.abc import Callable

from ..executor import run
from ..graph import Graph, GraphError
from ..shapes import infer, probe_some
from .activation import fuse_activation
from .attention import fuse_attention
from .causal_attention import fuse_causal_attention
from .constants import fold_constants
from .dead_code import drop_dead_code
from .decoder_layer import fuse_decoder_layers
from .duplicates import merge_duplicates
from .encoder_layer import fuse_encoder_layers
from .identities import drop_identities
from .linear import fuse_linear
from .links import close, near
from .normalization import fuse_normalization
from .picked_tokens import pick_tokens_last

__all__ = ["LANGUAGE_PASSES", "PASSES", "Witness", "optimise"]

Rewrite = Callable[[Graph], int]

PASSES: tuple[Rewrite, ...] = (
    fold_constants, drop_dead_code, drop_identities, merge_duplicates, drop_dead_code, fuse_linear,
    fuse_normalization, fuse_activation, drop_dead_code, fuse_causal_attention, drop_dead_code,
    fuse_attention, drop_dead_code, drop_identities, fuse_encoder_layers, fuse_decoder_layers,
    drop_dead_code, drop_identities, pick_tokens_last, drop_dead_code,
)  # fmt: skip

LANGUAGE_PASSES: tuple[Rewrite, ...] = (
    fuse_causal_attention, fuse_decoder_layers, pick_tokens_last,
)  # fmt: skip
"""Those that find language models, by what they do for a few tokens."""

STEPS = ("DynamicQuantizeLinear", "QuantizeLinear", "QLinearMatMul", "QLinearConv")
"""Operators of ONNX that round to 8 bits."""


def optimise(graph: Graph, *, verify: bool = False, language: bool = True) -> Graph:
    """Return the graph with everything fused that is known; its types are set.

    Parameters
    ----------
    graph : Graph
    verify : bool
        Compare the outputs behind each rewrite with those before.
    language : bool
        Look for language models, too.

    Raises
    ------
    GraphError
        If a node's inputs do not go together.
    """
    graph = graph.copy()
    infer(graph)
    for rewrite in PASSES:
        if rewrite in LANGUAGE_PASSES and not language:
            continue
        witness = Witness(graph) if verify else None
        rewrite(graph)
        if witness:
            witness.prove(graph, rewrite.__name__)
    infer(graph)
    return graph


class Witness:
    """What a graph computes of random inputs, which no rewrite may change.

    Parameters
    ----------
    graph : Graph
        As it is now.

    Raises
    ------
    GraphError
        If a node's inputs do not go together.
    """

    def __init__(self, graph: Graph, *, seed: int = 1) -> None:
        self._feeds, self._want = probe_some(graph, graph.outputs, which=1, seed=seed)
        # Where a model rounds, the last bit in front of that may become a step behind it.
        steps = any(node.kind in STEPS for node in graph.nodes)
        self._same = near if steps else close

    def prove(self, graph: Graph, what: str) -> None:
        """Refuse a graph that computes something else.

        Raises
        ------
        GraphError
        """
        got = run(graph, self._feeds, list(self._want))
        for name, want in self._want.items():
            if not self._same(got[name], want):
                raise GraphError(
                    f"{what} changes the output {name}, which is a fault of this compiler; report "
                    "the model"
                )
