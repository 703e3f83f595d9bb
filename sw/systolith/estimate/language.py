"""Estimates of language models: a token behind others."""

import dataclasses

from systolith_hw.config import Config
from systolith_hw.isa import Register
from systolith_sim.timing import Timing, replay
from systolith_sim.transformer.decoder_model import DecoderModel

from ..bench_decode import require_position
from ..bench_decode_streamed import cache_bytes, weight_bytes
from ..language import CompiledDecoder
from .estimate import Estimate, chip_use

__all__ = ["estimate_language"]


def estimate_language(
    config: Config, model: DecoderModel, position: int, clock_mhz: float, *,
    context: int | None = None, streamed: bool = False,
) -> Estimate:  # fmt: skip
    """Return the estimate of a token behind ``position`` others.

    Of a model on the chip that is a token in the middle of a text; of one that is streamed a run
    for that token alone, as the benchmarks measure them. The model may be a blank one.

    Raises
    ------
    ConfigError
        If the model does not fit, or has no such position.
    """
    compiled = CompiledDecoder.compile(
        config, model, context=context, streamed=streamed, contents=False
    )
    plan = compiled.plan
    require_position(plan, position)
    timing = _streamed(compiled, position) if streamed else _onchip(compiled, position)
    return Estimate(
        what=f"the token behind {position} others, of at most {plan.tokens}",
        macs=plan.shape.macs(position), weight_bytes=weight_bytes(plan.shape),
        cache_bytes=cache_bytes(plan.shape, position), memory_bytes=compiled.layout.map.size,
        port_bytes=config.bus.data_bytes, multipliers=config.array.rows * config.array.columns,
        timing=timing, clock_mhz=clock_mhz, chip=chip_use(plan, config),
    )  # fmt: skip


def _streamed(compiled: CompiledDecoder, position: int) -> Timing:
    return _run(compiled, position + 1, 1, position)


def _onchip(compiled: CompiledDecoder, position: int) -> Timing:
    """Return what a run of two tokens takes longer than one of the first."""
    one, two = (_run(compiled, position, count, position - 1) for count in (1, 2))
    return Timing(**{
        part.name: getattr(two, part.name) - getattr(one, part.name)
        for part in dataclasses.fields(Timing)
    })  # fmt: skip


def _run(compiled: CompiledDecoder, prompt: int, count: int, first: int) -> Timing:
    """Return the time of some tokens; of their numbers nothing depends."""
    tokens = compiled.layout.list
    return replay(
        compiled.plan.config, compiled.parts[compiled.program], address=compiled.program,
        parts={tokens.address: tokens.pack([0] * prompt, count, first)},
        registers={Register.POSITION: first},
    )  # fmt: skip
