"""Estimates of encoders: of sizes alone, or of the stacks of a person's own model."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from systolith_hw.config import Config
from systolith_hw.isa import Register
from systolith_sim.timing import Timing, replay

from ..compiler.encoder_choice import choose_encoder
from ..compiler.encoder_layout import EncoderLayout
from ..compiler.encoder_program import blank_model, write_encoder
from ..compiler.encoder_shape import EncoderShape
from ..encoder import CompiledEncoder
from ..stack import CompiledStack
from .estimate import Estimate, chip_use

__all__ = ["MINILM", "EncoderSizes", "estimate_encoders", "estimate_stacks"]

MINILM = EncoderShape(
    features=384, heads=12, hidden=1536, layers=6, vocabulary=30522, positions=512
)


@dataclass(frozen=True, kw_only=True)
class EncoderSizes:
    """An encoder, and the sentences of a run.

    Parameters
    ----------
    shape : EncoderShape
    lengths : sequence of int
        Tokens of each sentence.
    tokens : int
        For which the program is; by default just those.
    norm_first : bool
    activation : str
    embedded : bool
        It looks up its tokens itself; otherwise the host brings their states.
    """

    shape: EncoderShape
    lengths: Sequence[int]
    tokens: int = 0
    norm_first: bool = False
    activation: str = "gelu"
    embedded: bool = True


def estimate_encoders(
    config: Config, encoders: Sequence[EncoderSizes], clock_mhz: float
) -> Estimate:
    """Return the estimate of encoders that run one after the other.

    Raises
    ------
    ConfigError
        If one does not fit.
    """
    return _join(config, [_compile(config, one) for one in encoders],
                 [one.lengths for one in encoders], clock_mhz)  # fmt: skip


def estimate_stacks(
    config: Config, stacks: Sequence[CompiledStack], lengths: Sequence[int] | None,
    clock_mhz: float,
) -> Estimate:  # fmt: skip
    """Return the estimate of a compiled model's stacks, by default for the longest sentence.

    Raises
    ------
    ConfigError
        If sentences are too many or too long.
    """
    given = [lengths or [stack.plan.tokens] for stack in stacks]
    return _join(config, stacks, given, clock_mhz)


def _compile(config: Config, sizes: EncoderSizes) -> CompiledEncoder:
    """Return an encoder's program, and nothing else in external memory."""
    lengths = sizes.lengths
    tokens = sizes.tokens or sum(lengths)
    plan, choice = choose_encoder(
        config, sizes.shape, tokens=tokens, segments=len(lengths), norm_first=sizes.norm_first,
        activation=sizes.activation, embedded=sizes.embedded,
    )  # fmt: skip
    layout = EncoderLayout(plan)
    model = blank_model(norm_first=sizes.norm_first, activation=sizes.activation)
    if not sizes.embedded and not sizes.norm_first:
        model = dataclasses.replace(model, norm=None)
    program = write_encoder(layout, model)
    address = layout.map.add("program", len(program)).address
    kind = CompiledEncoder if sizes.embedded else CompiledStack
    return kind(layout, address, {address: program}, choice)


def _join(
    config: Config, encoders: Sequence[CompiledEncoder], lengths: Sequence[Sequence[int]],
    clock_mhz: float,
) -> Estimate:  # fmt: skip
    pairs = [*zip(encoders, lengths, strict=True)]
    timings = [_time(config, *pair) for pair in pairs]
    tokens, sentences = sum(lengths[0]), len(lengths[0])
    used = [chip_use(encoder.plan, config) for encoder in encoders]
    return Estimate(
        what=f"{tokens} tokens in {sentences} {'sentence' if sentences == 1 else 'sentences'}",
        macs=sum(encoder.plan.shape.macs(length) for encoder, each in pairs for length in each),
        weight_bytes=sum(
            encoder.plan.shape.layers * encoder.layout.layer_bytes for encoder in encoders
        ),
        cache_bytes=0, memory_bytes=sum(encoder.layout.map.size for encoder in encoders),
        port_bytes=config.bus.data_bytes, multipliers=config.array.rows * config.array.columns,
        timing=Timing(**{
            name: sum(getattr(timing, name) for timing in timings)
            for name in (part.name for part in dataclasses.fields(Timing))
        }),
        clock_mhz=clock_mhz,
        chip={name: max(each[name] for each in used) for name in used[0]},
    )  # fmt: skip


def _time(config: Config, encoder: CompiledEncoder, lengths: Sequence[int]) -> Timing:
    """Return how long a run takes for sentences of some lengths."""
    layout, stack = encoder.layout, isinstance(encoder, CompiledStack)
    sentences = CompiledStack.numbers(lengths) if stack else [range(each) for each in lengths]
    tables = layout.tables.pack(sentences, layout.token_bytes, positions=not stack)
    return replay(
        config, encoder.parts[encoder.program], address=encoder.program,
        parts={layout.regions["tables"].address: tables}, registers={Register.LENGTH: sum(lengths)},
    )  # fmt: skip
