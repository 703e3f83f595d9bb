"""Cut a graph in what the core does, encoder layers or a language model, and what the host does."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .decoder_part import DecoderPart
from .executor import needed
from .graph import RUNTIMES, Graph, GraphError, Node
from .macs import node_macs
from .optimise.links import Links

__all__ = ["HostNode", "Partition", "Stack", "cut", "partition"]

REASONS = {
    "MultiHeadAttention": "attention that is in no encoder layer",
    "Gather": "looks up rows of a table",
    "Softmax": "Softmax outside of attention",
    "Conv": "a convolution",
    "LayerNormalization": "a norm outside of encoder layers",
    "CausalAttention": "attention of a language model, in no layer of RMSNorm and SwiGLU without "
                       "biases",
    "DecoderLayer": "a language model's layer without embedding, last norm and head around it",
    **dict.fromkeys(("MatMul", "Linear", "Gemm", "Einsum"), "a matrix outside of encoder layers"),
}  # fmt: skip
"""Why the host does what it does; everything else is small work on elements or shapes."""


CUT = ("EncoderStack", "DecoderStack")
"""Nodes of a graph that has been cut which the core does."""


@dataclass(frozen=True)
class Stack:
    """Layers that follow one another on the core.

    Parameters
    ----------
    nodes : list of Node
        One for each layer.
    x, mask, y : str
        Tensors that go in, and come out; no mask is empty.
    """

    nodes: list[Node]
    x: str
    mask: str
    y: str

    @classmethod
    def of(cls, nodes: Sequence[Node]) -> "Stack":
        """Return a chain of layers as a stack."""
        x, mask = nodes[0].inputs[:2]
        return cls(list(nodes), x, mask, nodes[-1].output)


@dataclass(frozen=True)
class HostNode:
    """What the host does.

    Parameters
    ----------
    node : Node
    reason : str
    macs : int or None
        Of the example; None if nobody knows them, as those of operators of others' domains.
    """

    node: Node
    reason: str
    macs: int | None

    @property
    def runtime(self) -> str:
        """Who computes it: "numpy", "onnxruntime" or "torch"."""
        return self.node.operator if self.node.operator in RUNTIMES else "numpy"

    def line(self, total: int) -> str:
        """Return it as a line of text, with its share of all multiplications."""
        share = "multiplications unknown" if self.macs is None else f"{self.macs / total:.1%}"
        return f"{self.node}: {self.reason}, {share}"


@dataclass
class Partition:
    """A graph in which each stack is one node, ``EncoderStack``, with the number of its stack.

    A language model is one node ``DecoderStack``, from tokens to logits.

    Parameters
    ----------
    graph : Graph
    stacks : list of Stack
    host : list of HostNode
    core_macs : int
        Multiplications of all stacks and of the language model, of the example.
    decoder : DecoderPart or None
        The language model, if the core has one.
    """

    graph: Graph
    stacks: list[Stack] = field(default_factory=list)
    host: list[HostNode] = field(default_factory=list)
    core_macs: int = 0
    decoder: DecoderPart | None = None

    @property
    def host_macs(self) -> int:
        """Multiplications that the host does, as far as they are known."""
        return sum(one.macs or 0 for one in self.host)

    @property
    def core_share(self) -> float:
        """The core's part of all multiplications."""
        return self.core_macs / max(1, self.core_macs + self.host_macs)

    def __str__(self) -> str:
        """Return it as lines of text: what is where, and why, with shares of multiplications."""
        total = max(1, self.core_macs + self.host_macs)
        layers = sum(len(stack.nodes) for stack in self.stacks)
        core = f"on the core: encoder layers {layers}, in stacks {len(self.stacks)}, "
        if self.decoder:
            count = len(self.decoder.layers)
            core = f"on the core: a language model of layers {count}, from tokens to logits, "
        lines = [
            f"{core}multiplications of the example {self.core_macs:,}, {self.core_share:.1%}",
            f"on the host: nodes {len(self.host)}, multiplications {self.host_macs:,}",
        ]
        lines += [f"  {one.line(total)}" for one in self.host]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the same as JSON has it."""
        return {
            "core_layers": sum(len(stack.nodes) for stack in self.stacks)
            + (len(self.decoder.layers) if self.decoder else 0),
            "core_macs": self.core_macs, "host_macs": self.host_macs,
            "core_share": self.core_share,
            "host": [
                {"node": one.node.name or one.node.output, "operator": one.node.kind,
                 "runtime": one.runtime, "reason": one.reason, "macs": one.macs}
                for one in self.host
            ],
        }  # fmt: skip

    def require_core(self, *, matrices_only: bool = False) -> None:
        """Refuse whatever the host does, or only its matrices.

        Raises
        ------
        GraphError
        """
        if left := [one for one in self.host if one.macs != 0 or not matrices_only]:
            reasons: dict[str, list[str]] = {}
            for one in left:
                reasons.setdefault(one.reason, []).append(str(one.node))
            listed = "; ".join(f"{', '.join(nodes)}: {why}" for why, nodes in reasons.items())
            what = "nodes with matrices" if matrices_only else "nodes"
            raise GraphError(f"strict, but {len(left)} {what} are left to the host: {listed}")


def partition(
    graph: Graph, shapes: Mapping[str, tuple[int, ...]], refuse: Callable[[Stack], str],
    decoder: DecoderPart | None = None, refused: Mapping[str, str] | None = None,
) -> Partition:  # fmt: skip
    """Cut a graph whose layers have been recognised.

    Parameters
    ----------
    graph : Graph
    shapes : dict
        Of all tensors of an example.
    refuse : function
        Says why the core cannot do a stack; nothing if it can.
    decoder : DecoderPart
        A language model that the core does.
    refused : dict of str
        Reasons that are known already, by what the nodes make.
    """
    stacks: list[Stack] = []
    reasons = dict(refused or {})
    for stack in _stacks(graph):
        if why := refuse(stack):
            reasons |= {node.output: why for node in stack.nodes}
        else:
            stacks.append(stack)
    rest = cut(graph, stacks, decoder)
    host = [
        HostNode(node, reasons.get(node.output) or _reason(node),
                 node_macs(node, shapes, graph.types))
        for node in rest.nodes if node.operator not in CUT
    ]  # fmt: skip
    nodes = [node for stack in stacks for node in stack.nodes]
    nodes += decoder.nodes if decoder else []
    core = sum(node_macs(node, shapes) or 0 for node in nodes)
    return Partition(rest, stacks, host, core, decoder)


def _reason(node: Node) -> str:
    """Return why a node is for the host that is in no layer."""
    if node.operator in RUNTIMES:
        return f"the core has no {node.kind}, {node.operator} computes it"
    return REASONS.get(node.operator, "no matrix")


def cut(graph: Graph, stacks: Sequence[Stack], decoder: DecoderPart | None = None) -> Graph:
    """Return the graph with one node in the place of each stack's, and of a language model's."""
    rest = graph.copy()
    for number, stack in enumerate(stacks):
        for node in stack.nodes[:-1]:
            rest.replace(node, [])
        inputs = (stack.x, stack.mask) if stack.mask else (stack.x,)
        node = Node("EncoderStack", inputs, (stack.y,), {"stack": number})
        rest.replace(stack.nodes[-1], [node])
    if decoder:
        node = Node("DecoderStack", (decoder.tokens,), (decoder.logits,))
        rest.replace(decoder.head, [node])
        rest.nodes = needed(rest, (), rest.outputs)
    return rest


def _stacks(graph: Graph) -> list[Stack]:
    """Return the longest chains of layers that are alike."""
    links = Links(graph)
    chains: list[list[Node]] = []
    for node in graph.nodes:
        if node.operator != "EncoderLayer":
            continue
        last = chains[-1][-1] if chains else None
        if last and links.only_taker(last.output) is node and _alike(graph, last, node):
            chains[-1].append(node)
        else:
            chains.append([node])
    return [Stack.of(chain) for chain in chains]


def _alike(graph: Graph, one: Node, other: Node) -> bool:
    """Whether a layer takes another one's output, under the same mask, and has its sizes."""
    sizes = [[graph.constants[name].shape for name in node.inputs[2:]] for node in (one, other)]
    return (
        other.inputs[0] == one.output and other.inputs[1] == one.inputs[1]
        and sizes[0] == sizes[1] and one.attributes == other.attributes
    )  # fmt: skip
