"""From a person's model to a program: read, rewritten, cut, rounded, and compiled for the core."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from systolith_hw.config import Config, ConfigError
from systolith_hw.presets import preset
from systolith_sim.transformer.model import EncoderModel

from .accuracy import Accuracy, LayerSignal, measure_layers
from .compiler.stack_fit import TokensError, fit_stack, sentence_sizes
from .compiler.stack_quantizer import check_layers, quantize_stack
from .decoder_stack import DecoderStack, compile_decoder
from .graph import Graph, GraphError
from .graph.calibration import similar_inputs
from .graph.decoder_part import find_decoder
from .graph.executor import run
from .graph.key_mask import visible_tokens
from .graph.layer_weights import float_layers
from .graph.model_inputs import example_of, named_inputs
from .graph.onnx_reader import read_onnx
from .graph.operators.matrices import MATRICES
from .graph.optimise import Witness, optimise
from .graph.optimise.links import close
from .graph.partition import Partition, Stack, partition
from .graph.shared_sizes import share_sizes
from .model_program import ModelProgram
from .progress import Progress
from .stack import CompiledStack

__all__ = ["CutModel", "Strict", "compile_model", "cut_model"]

LANGUAGE = ("CausalAttention", "DecoderLayer")
"""Operators of language models."""

TORCH_FILES = (".pt", ".pt2", ".pth", ".ckpt")
"""How files end whose contents are pickled, at least in part."""

Strict = bool | Literal["matrices"]


def compile_model(
    model: Any, example_inputs: Any = None, *, config: str | Config = "ulx3s",
    strict: Strict = False, verify: bool = False, tokens: int | None = None,
    calibration: Sequence[Any] | None = None, progress: Progress | None = None,
) -> ModelProgram:  # fmt: skip
    """Compile a model.

    Parameters
    ----------
    model : torch.nn.Module, torch.export.ExportedProgram, path of an ONNX file, or Graph
    example_inputs : array, sequence or dict of arrays
        One batch, whose sizes are typical. Only for a module it must be given; otherwise it is
        random by default.
    config : str or Config
        The core, or the name of a preset.
    strict : bool or "matrices"
        Refuse a model of which anything, or any matrix, is left to the host.
    verify : bool
        Compare the graph before and after each rewrite on random inputs, not only once.
    tokens : int
        Most tokens of a run of the core; by default enough for the example, and for a language
        model as many as fit.
    calibration : sequence of inputs
        Batches with which weights are rounded; by default random ones like the example, and for a
        language model texts that it writes.
    progress : Progress

    Raises
    ------
    GraphError
        If the model cannot be read, if the example or a batch of ``calibration`` has no tokens that
        its mask shows, or, if ``strict``, something is left to the host.
    ConfigError
        If there is no such preset, or ``tokens`` are fewer than the example has.
    """
    config = preset(config) if isinstance(config, str) else config
    progress = progress or Progress()
    if calibration is not None and not len(calibration):
        raise GraphError(
            "calibration has no batches, and there is nothing to round weights with; give one or "
            "more, or leave calibration out"
        )
    graph, example, unlike = _prepared(model, example_inputs, verify, progress)
    shapes = _shapes(graph, example)
    refuse = functools.partial(_refuse, config, graph, example, tokens)
    given = None
    if calibration is not None:
        given = [named_inputs(graph, each) for each in calibration]
    part, refused = find_decoder(graph), unlike
    decoder: DecoderStack | None = None
    if part:
        try:
            decoder = compile_decoder(config, graph, part, example, calibration=given,
                                      tokens=tokens, progress=progress)  # fmt: skip
        except TokensError:
            raise
        except (ConfigError, GraphError) as error:
            refused = {node.output: str(error) for node in part.nodes}
    parts = partition(graph, shapes, refuse, part if decoder else None, refused)
    if strict:
        parts.require_core(matrices_only=strict == "matrices")
    batches = similar_inputs(graph, example) if given is None else given
    stacks: list[CompiledStack] = []
    signals: list[LayerSignal] = [*decoder.signals] if decoder else []
    for number, stack in enumerate(parts.stacks):
        progress(f"rounding and compiling stack {number + 1} of {len(parts.stacks)}")
        states = _states(graph, stack, example)
        _require_tokens(stack, states, "the example")
        model, compiled = _compile(config, graph, stack, batches, tokens, progress)
        stacks.append(compiled)
        progress(f"comparing stack {number + 1} with float")
        signals += measure_layers(config, graph, stack.nodes, model, states, first=len(signals))
    language = decoder.program if decoder else None
    return ModelProgram(config, graph, parts, stacks, Accuracy(signals), language)


@dataclass(frozen=True)
class CutModel:
    """A model that has been read, rewritten, and cut in parts, but whose weights are not rounded.

    Parameters
    ----------
    graph : Graph
    parts : Partition
    example : dict of arrays
        A batch of typical sizes.
    """

    graph: Graph
    parts: Partition
    example: dict[str, NDArray]

    def lengths(self, stack: Stack) -> list[int]:
        """Return the tokens of each sentence of the example that come to a stack.

        Raises
        ------
        GraphError
            If there are none.
        """
        states = _states(self.graph, stack, self.example)
        _require_tokens(stack, states, "the example")
        return [len(each) for each in states]


def cut_model(
    model: Any, example_inputs: Any, config: Config, progress: Progress | None = None
) -> CutModel:
    """Return which encoder layers of a model a core can do; language models are not looked for.

    Raises
    ------
    GraphError
        If the model cannot be read.
    """
    graph, example, unlike = _prepared(model, example_inputs, False, progress or Progress())
    shapes = _shapes(graph, example)
    refuse = functools.partial(_refuse, config, graph, example, None)
    return CutModel(graph, partition(graph, shapes, refuse, None, unlike), example)


def _prepared(
    model: Any, example_inputs: Any, verify: bool, progress: Progress
) -> tuple[Graph, dict[str, NDArray], dict[str, str]]:
    """Return a model's graph, rewritten, an example, and why some nodes are not for the core."""
    progress("reading the model")
    source = share_sizes(_read(model, example_inputs))
    for part, names in (("inputs", source.inputs), ("outputs", source.outputs)):
        if not names:
            raise GraphError(f"the model has no {part}; there is nothing to compile")
    example = example_of(source, example_inputs)
    progress("rewriting its graph")
    graph, unlike = _rewritten(source, example, verify=verify)
    return graph, example, unlike


def _read(model: Any, example: Any) -> Graph:
    """Return the graph of a model of any kind."""
    if isinstance(model, Graph):
        return model
    if isinstance(model, str | Path):
        if Path(model).suffix in TORCH_FILES:
            raise GraphError(
                f"{model} is a file of PyTorch's, which cannot be read without unpickling; compile "
                "it in Python: systolith.compile(torch.export.load(FILE), example_inputs).save("
                "OUTPUT), or the module itself"
            )
        return read_onnx(model)
    if hasattr(model, "state_dict") and (callable(model) or hasattr(model, "graph_signature")):
        from .graph.torch_reader import read_torch

        return read_torch(model, example)
    raise GraphError(
        f"a model is a torch.nn.Module or the path of an ONNX file, not a {type(model).__name__}"
    )


def _rewritten(
    source: Graph, example: Mapping[str, NDArray], *, verify: bool
) -> tuple[Graph, dict[str, str]]:
    """Return the graph rewritten, and reasons why matrices are of no language model after all.

    Attention is recognised by a few tokens. What sees only the nearest ones, for example, differs
    in longer texts; the example has as many tokens as are typical.
    """
    witness = Witness(source)  # while memory has no rewritten graph
    graph = optimise(source, verify=verify)
    witness.prove(graph, "rewriting")
    if not any(node.operator in LANGUAGE for node in graph.nodes):
        return graph, {}
    want, got = run(source, example), run(graph, example)
    if all(close(got[name], want[name]) for name in source.outputs):
        return graph, {}
    graph = optimise(source, verify=verify, language=False)
    why = "in texts as long as the example tokens do not see all before them"
    return graph, {node.output: why for node in graph.nodes if node.operator in MATRICES}


def _shapes(graph: Graph, example: Mapping[str, NDArray]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors of an example."""
    shapes = {name: value.shape for name, value in {**graph.constants, **example}.items()}
    run(graph, example, keep=lambda name, value: shapes.update({name: value.shape}))
    return shapes


def _states(
    graph: Graph, stack: Stack, batch: Mapping[str, NDArray]
) -> list[NDArray[np.floating]]:
    """Return what a stack takes of each sentence of a batch: the tokens that are seen."""
    values = run(graph, batch, [stack.x, *filter(None, [stack.mask])])
    x = values[stack.x]
    visible = visible_tokens(values.get(stack.mask), *x.shape[:2])
    return [row[seen] for row, seen in zip(x, visible, strict=True) if seen.any()]


def _require_tokens(stack: Stack, states: Sequence[NDArray], batch: str) -> None:
    """Refuse a batch of which a stack is given nothing."""
    if not states:
        why = f"the mask {stack.mask} hides all of them" if stack.mask else "it has none"
        raise GraphError(
            f"no tokens of {batch} come to {stack.nodes[0]}: {why}; give inputs with "
            "tokens that are seen"
        )


def _refuse(
    config: Config, graph: Graph, example: Mapping[str, NDArray], tokens: int | None, stack: Stack
) -> str:
    """Return why the core cannot do a stack; nothing if it can."""
    layers = float_layers(graph, stack.nodes)
    try:
        check_layers(layers)
        longest, segments = sentence_sizes(_states(graph, stack, example))
        fit_stack(config, layers, longest, segments, tokens)
    except TokensError:
        raise
    except (ConfigError, GraphError) as error:
        return str(error)
    return ""


def _compile(
    config: Config, graph: Graph, stack: Stack, batches: Sequence[Mapping[str, NDArray]],
    tokens: int | None, progress: Progress,
) -> tuple[EncoderModel, CompiledStack]:  # fmt: skip
    """Return a stack in integers, rounded on batches of which the first has typical sizes."""
    layers = float_layers(graph, stack.nodes)
    states = [_states(graph, stack, batch) for batch in batches]
    for number, each in enumerate(states, 1):
        _require_tokens(stack, each, f"batch {number} of calibration")
    longest, segments = sentence_sizes(states[0])
    tokens, segments = fit_stack(config, layers, longest, segments, tokens)
    model = quantize_stack(
        config, layers, [*itertools.chain(*states)], tokens=tokens, progress=progress
    )
    return model, CompiledStack.compile(config, model, tokens=tokens, segments=segments)
