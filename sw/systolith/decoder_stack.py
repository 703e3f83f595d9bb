"""From a graph that has a language model in it to programs of the core, and how close they come."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_sim.transformer.decoder import advance
from systolith_sim.transformer.decoder_model import DecoderModel
from systolith_sim.transformer.decoder_reference import FloatDecoder, KeyValueCache

from .accuracy import MOST_SENTENCES, LayerSignal
from .compiler.stack_fit import TokensError
from .graph import Graph, GraphError, Node
from .graph.decoder_part import DecoderPart, float_decoder
from .graph.executor import run, run_node
from .language_program import LanguageProgram, compile_language, must_stream, round_language
from .progress import Progress

__all__ = ["DecoderStack", "compile_decoder"]

Floats = NDArray[np.floating]
Batch = Mapping[str, NDArray]
States = tuple[Floats, Floats, Floats]
"""The integers' values behind a layer, float's, and float's from the integers before it."""


@dataclass(frozen=True)
class DecoderStack:
    """A language model that was found in a graph, compiled.

    Parameters
    ----------
    program : LanguageProgram
    signals : list of LayerSignal
        Of each layer and of the logits, on texts of the example.
    """

    program: LanguageProgram
    signals: list[LayerSignal]


def compile_decoder(
    config: Config, graph: Graph, part: DecoderPart, example: Batch, *,
    calibration: Sequence[Batch] | None = None, tokens: int | None = None,
    progress: Progress,
) -> DecoderStack:  # fmt: skip
    """Compile a part of a graph for texts of ``tokens`` tokens, by default of as many as fit.

    Weights are rounded with the texts of ``calibration``; by default the model writes some.

    Raises
    ------
    TokensError
        If ``tokens`` leave the example no room, or it or a batch of ``calibration`` has none.
    ConfigError, GraphError
        If the core cannot do it; the sentence says why.
    """
    texts = _texts(graph, part, example)
    longest = max(map(len, texts))
    if tokens is not None and tokens <= longest:
        raise TokensError(
            f"tokens must be more than {longest}, as many as the longest text of the example has, "
            f"not {tokens}; raise tokens, or give a shorter example"
        )
    model = float_decoder(graph, part, tokens or config.array.max_k)
    streamed = must_stream(config, model, tokens)
    documents = None
    if calibration is not None:
        batches = (_texts(graph, part, batch) for batch in calibration)
        documents = [*itertools.chain(*batches)]
    rounded = round_language(model, documents, progress, streamed=streamed)
    progress("compiling the language model")
    program, integers = compile_language(
        config, model, rounded, context=tokens, streamed=streamed
    )
    if longest >= program.tokens:
        raise ConfigError(
            f"the example has {longest} tokens and needs room for one behind them, but texts have "
            f"at most {program.tokens}; raise tokens, or give a shorter example"
        )
    progress("comparing the language model with float")
    measured = texts[:MOST_SENTENCES]
    return DecoderStack(program, _measure(graph, part, model, integers, rounded.order, measured))


def _texts(graph: Graph, part: DecoderPart, batch: Batch) -> list[list[int]]:
    """Return the texts of a batch.

    Raises
    ------
    GraphError
        If its tokens are no texts.
    TokensError
        If it has none.
    """
    tokens = run(graph, batch, [part.tokens])[part.tokens]
    if tokens.ndim != 2:
        raise GraphError(
            f"a language model's tokens {part.tokens} must have two dimensions, texts and tokens, "
            f"not {tokens.ndim}"
        )
    if not tokens.size:
        raise TokensError(
            f"a language model's tokens {part.tokens} have the shape {tokens.shape} in the example "
            "or a batch of calibration; give texts of a token or more"
        )
    return tokens.tolist()


def _measure(
    graph: Graph, part: DecoderPart, model: FloatDecoder, integers: DecoderModel,
    order: NDArray[np.intp], texts: list[list[int]],
) -> list[LayerSignal]:  # fmt: skip
    """Compare layers and logits in integers with the same in float."""
    runs = [_states(graph, part, model, integers, order, text) for text in texts]
    names = [f"layer {number} ({node.name or node.output})"
             for number, node in enumerate(part.layers)]  # fmt: skip
    signals = []
    for name, *states in zip([*names, f"logits ({part.logits})"], *runs, strict=True):
        got, want, alone = (np.concatenate(values) for values in zip(*states, strict=True))
        signals.append(LayerSignal.of(name, got, want, alone))
    return signals


def _states(
    graph: Graph, part: DecoderPart, model: FloatDecoder, integers: DecoderModel,
    order: NDArray[np.intp], text: list[int],
) -> list[States]:  # fmt: skip
    """Return the states of one text behind each layer, and its logits."""
    places, cache = range(len(text)), KeyValueCache(len(part.layers))
    assert integers.rotary is not None
    cosine, sine = (table[: len(text)] for table in integers.rotary)
    z, x = integers.residual(text, places), model.embedding[text]
    states: list[States] = []
    for number, (layer, node) in enumerate(zip(integers.layers, part.layers, strict=True)):
        before = _real(integers, order, z)
        z = advance(integers.array, layer, z, cache, number, (cosine, sine))
        x = _layer(graph, node, x)
        states.append((_real(integers, order, z), x, _layer(graph, node, before)))
    got = integers.logits(text)
    alone = model.normalize(_real(integers, order, z), model.norm) @ model.head.T
    return [*states, (got, model.normalize(x, model.norm) @ model.head.T, alone)]


def _real(integers: DecoderModel, order: NDArray[np.intp], z: NDArray[np.int64]) -> Floats:
    """Return what the residual's integers stand for, its features in the model's own order."""
    x = np.empty(z.shape, np.float32)
    x[:, order] = np.ldexp(z.astype(np.float64), -integers.fraction)
    return x


def _layer(graph: Graph, node: Node, x: Floats) -> Floats:
    """Return a text (S, N) behind a layer in float."""
    weights = [graph.constants[name] for name in node.inputs[1:]]
    return run_node(node, [x[None], *weights])[0][0]
