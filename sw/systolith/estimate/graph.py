"""Estimates of a person's own model: of its stacks of encoder layers, without rounding them."""

import itertools

from systolith_hw.config import Config, ConfigError

from ..compiler.stack_fit import SEGMENTS, fit_stack, stack_shape
from ..graph.layer_weights import float_layers
from ..model_compiler import CutModel, cut_model
from .encoder import EncoderSizes, estimate_encoders
from .estimate import Estimate

__all__ = ["estimate_cut", "estimate_graph"]


def estimate_cut(config: Config, first: CutModel, core: Config, clock_mhz: float) -> Estimate:
    """Return the estimate on ``config`` of a model that has been cut for ``core``.

    Raises
    ------
    ConfigError
        If no layer is for it.
    """
    model = first if config == core else cut_model(first.graph, first.example, config)
    return estimate_graph(config, model, clock_mhz)


def estimate_graph(config: Config, model: CutModel, clock_mhz: float) -> Estimate:
    """Return the estimate of one run for the example's first sentences, as many as fit.

    Raises
    ------
    ConfigError
        If no layer is for the core.
    """
    encoders = []
    for stack in model.parts.stacks:
        layers = float_layers(model.graph, stack.nodes)
        lengths = model.lengths(stack)
        tokens, segments = fit_stack(
            config, layers, max(lengths), min(SEGMENTS, len(lengths)), None
        )
        ends = [*itertools.accumulate(lengths[:segments])]
        fitting = sum(end <= tokens for end in ends)
        encoders.append(EncoderSizes(
            shape=stack_shape(layers, tokens), lengths=lengths[:fitting], tokens=tokens,
            norm_first=layers[0].norm_first, activation=layers[0].activation, embedded=False,
        ))  # fmt: skip
    if not encoders:
        reasons = {one.reason for one in model.parts.host if one.node.operator == "EncoderLayer"}
        why = "; ".join(sorted(reasons)) or "it has no encoder layers"
        raise ConfigError(f"nothing of the model is for the core: {why}")
    return estimate_encoders(config, encoders, clock_mhz)
