"""Estimates of language models: a token behind others."""

from systolith_hw.config import Config
from systolith_sim.transformer.decoder_model import DecoderModel

from ..bench_decode import require_position
from ..bench_decode_streamed import cache_bytes, weight_bytes
from ..compiler.decoder_streamed_plan import StreamedPlan
from ..language import CompiledDecoder
from ..token_timing import streamed_token, token_in_text
from .estimate import Estimate, chip_use

__all__ = ["estimate_decoder", "estimate_language"]


def estimate_language(
    config: Config, model: DecoderModel, position: int, clock_mhz: float, *,
    context: int | None = None, streamed: bool = False,
) -> Estimate:  # fmt: skip
    """Return the estimate of a token behind ``position`` others; the model may be a blank one.

    Raises
    ------
    ConfigError
        If the model does not fit, or has no such position.
    """
    compiled = CompiledDecoder.compile(
        config, model, context=context, streamed=streamed, contents=False
    )
    return estimate_decoder(compiled, position, clock_mhz)


def estimate_decoder(compiled: CompiledDecoder, position: int, clock_mhz: float) -> Estimate:
    """Return the estimate of a token of a compiled model.

    Of a model on the chip that is a token in the middle of a text; of one that is streamed a run
    for that token alone, as the benchmarks measure them.

    Raises
    ------
    ConfigError
        If the model has no such position.
    """
    plan, config = compiled.plan, compiled.plan.config
    require_position(plan, position)
    streamed = isinstance(plan, StreamedPlan)
    timing = (streamed_token if streamed else token_in_text)(compiled, position)
    return Estimate(
        what=f"the token behind {position} others, of at most {plan.tokens}",
        macs=plan.shape.macs(position), weight_bytes=weight_bytes(plan.shape),
        cache_bytes=cache_bytes(plan.shape, position), memory_bytes=compiled.layout.map.size,
        port_bytes=config.bus.data_bytes, multipliers=config.array.rows * config.array.columns,
        timing=timing, clock_mhz=clock_mhz, chip=chip_use(plan, config),
    )  # fmt: skip
