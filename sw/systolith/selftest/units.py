"""What each unit is asked to do."""

from collections.abc import Callable
from dataclasses import dataclass

from systolith_hw.config import Config
from systolith_hw.isa import DrainFunction, DrainKind, LoadKind

from ..compiler.encoder_quantizer import factor
from .probe import TILES, Probe

__all__ = ["UNIT_PROBES", "UnitProbe"]


@dataclass(frozen=True)
class UnitProbe:
    """One check by a program.

    Parameters
    ----------
    name : str
    units : str
        Whom it needs beyond those of the probes in front of it.
    build : function
        Appends to a probe what they do, and what is stored.
    exists : function
        Whether a core has it.
    """

    name: str
    units: str
    build: Callable[[Probe], None]
    exists: Callable[[Config], bool] = lambda config: True


def _rows(config: Config) -> bool:
    return config.vector.rows > 0


def _transfer(probe: Probe) -> None:
    """Wide memory, to its last word, from and to external memory."""
    last = probe.config.memory.wide_words
    words = min(last, 16)
    probe.fill_wide(words)
    probe.fill_wide(words, first=last - words)
    probe.store_wide(0, words)
    probe.store_wide(last - words, words)


def _product(probe: Probe) -> None:
    """Two tokens, two steps, two tiles."""
    beats = probe.config.beats_per_result
    probe.fill()
    probe.program.matmul(steps=2, tokens=2, tiles=2)
    probe.program.drain(DrainKind.WIDE, tokens=2, tiles=2, token_stride=2 * beats)
    probe.store_wide(0, 4 * beats)


def _columns(probe: Probe) -> None:
    """Operands that come column by column, and a product of them."""
    probe.fill()
    probe.fill_columns(4)
    _multiply(probe, 0)
    probe.store_wide(0, 4 * probe.config.beats_per_result)


def _codes(probe: Probe) -> None:
    """Products of operands that LOAD has expanded, by both codecs."""
    results = 4 * probe.config.beats_per_result
    probe.fill()
    for number, kind in enumerate((LoadKind.OPERAND_AFFINE, LoadKind.OPERAND_EXPONENT)):
        probe.fill_codes(kind, TILES)
        _multiply(probe, number * results)
    probe.store_wide(0, 2 * results)


def _multiply(probe: Probe, destination: int) -> None:
    """Two tokens, two steps, two tiles of what was loaded."""
    beats = probe.config.beats_per_result
    probe.program.barrier()
    probe.program.matmul(steps=2, tokens=2, tiles=2)
    probe.program.drain(
        DrainKind.WIDE, tokens=2, tiles=2, token_stride=2 * beats, destination=destination
    )
    probe.program.barrier()


def _normalized(probe: Probe) -> None:
    """Results that become activation words, and a product of those."""
    array, beats = probe.config.array, probe.config.beats_per_result
    words = -(-2 * array.columns // array.rows)
    probe.fill()
    probe.program.matmul(steps=2, tokens=2, tiles=2)
    probe.program.drain(
        DrainKind.ACTIVATION, tokens=2, tiles=2, token_stride=words, destination=32
    )
    probe.program.barrier()
    probe.program.matmul(activation=32, steps=words, tokens=2, tiles=2)
    probe.program.drain(DrainKind.WIDE, tokens=2, tiles=2, token_stride=2 * beats)
    probe.store_wide(0, 4 * beats)


def _streamed(probe: Probe) -> None:
    """Results that leave while the next are computed."""
    array = probe.config.array
    probe.fill()
    probe.program.matmul(steps=2, tokens=3, tiles=2)
    probe.program.drain(DrainKind.STREAM, tokens=3, tiles=2)
    probe.store_stream(3 * -(-2 * array.columns // array.rows))


def _functions(probe: Probe) -> None:
    """Values that DRAIN changes on their way."""
    beats = probe.config.beats_per_result
    probe.fill()
    probe.fill_wide(16 * beats, bits=20)
    probe.program.barrier()
    functions = (DrainFunction.GELU, DrainFunction.SILU, DrainFunction.RELU)
    for index, function in enumerate(functions):
        for accumulate in (False, True):
            probe.program.matmul(steps=1, tiles=2)
            probe.program.drain(
                DrainKind.WIDE, tiles=2, destination=(4 * index + 2 * accumulate) * beats,
                function=function, accumulate=accumulate,
            )  # fmt: skip
            probe.program.barrier()
    probe.store_wide(0, 12 * beats)


def _operands(probe: Probe) -> None:
    """Results that become operands, as keys and as values."""
    beats = probe.config.beats_per_result
    lanes, array = probe.config.vector.lanes, probe.config.array
    probe.fill()
    stride = -(-array.columns // array.rows)
    for kind, step, place in ((DrainKind.KEYS, stride, 16), (DrainKind.VALUES, 1, 24)):
        probe.program.matmul(steps=1, tokens=2)
        probe.program.drain_operands(
            kind, destination=place, token_stride=step, entries=8 * lanes, tokens=2,
            entries_stride=4,
        )  # fmt: skip
        probe.program.barrier()
        probe.program.matmul(operand=place, steps=1, tokens=2)
        probe.program.drain(DrainKind.WIDE, tokens=2, token_stride=beats,
                            destination=(place - 16) // 4 * beats)  # fmt: skip
        probe.program.barrier()
    probe.store_wide(0, 4 * beats)


def _norm(probe: Probe) -> None:
    """Mean and variance of rows, and a product of what is normalised."""
    config = probe.config
    array, beats, lanes = config.array, config.beats_per_result, config.vector.lanes
    elements = min(3 * array.rows, 48)
    probe.fill()
    channels = -(-elements // lanes) * lanes
    first = 4 * array.columns // lanes
    probe.fill_scales(first, channels)
    stride = channels // lanes
    probe.fill_wide(2 * stride, bits=20)
    probe.program.barrier()
    words = -(-elements // array.rows)
    for centre in (True, False):
        probe.program.norm(
            elements=elements, inverse=factor(1 / elements), epsilon=1 << 10, source=0,
            source_stride=stride, destination=32, tokens=2, token_stride=words, scale=first,
            centre=centre,
        )  # fmt: skip
        probe.program.barrier()
        probe.program.matmul(activation=32, steps=words, tokens=2)
        probe.program.drain(DrainKind.WIDE, tokens=2, token_stride=beats, destination=128)
        probe.store_wide(128, 2 * beats)
        probe.program.barrier()


def _softmax(probe: Probe) -> None:
    """Scores, their softmax, and a product that is divided by its sum."""
    config = probe.config
    array, beats = config.array, config.beats_per_result
    scores = 2 * array.columns
    words = -(-scores // array.rows)
    probe.fill()
    probe.program.matmul(steps=1, tokens=2, tiles=2)
    probe.program.drain(
        DrainKind.WIDE, tokens=2, tiles=2, token_stride=2 * beats, maximum=True
    )
    probe.program.barrier()
    probe.program.softmax(
        elements=scores, source=0, source_stride=2 * beats, destination=32, tokens=2,
        token_stride=words,
    )  # fmt: skip
    probe.program.barrier()
    probe.program.matmul(activation=32, steps=words, tokens=2, tiles=2)
    probe.program.drain(
        DrainKind.WIDE, tokens=2, tiles=2, token_stride=2 * beats, destination=64, factor=True
    )
    probe.store_wide(0, 4 * beats)
    probe.store_wide(64, 4 * beats)


def _best(probe: Probe) -> None:
    """Which the largest of some results is, four times."""
    probe.fill()
    for number in range(4):
        probe.program.matmul(activation=2 * number, steps=2, tiles=2)
        probe.program.drain(DrainKind.BEST, tiles=2, entries=7, destination=number)
        probe.program.barrier()
    probe.store_wide(0, 4)


def _sample(probe: Probe) -> None:
    """One of the largest results, by chance."""
    probe.fill()
    kept = min(4, probe.config.vector.candidates)
    for seed in range(4):
        probe.program.matmul(steps=2, tiles=2)
        probe.program.drain(DrainKind.CANDIDATES, tiles=2, token_stride=kept)
        probe.program.sample(
            destination=seed, seed=seed, position=9, sharpness=factor(2.0**-18)
        )
        probe.program.barrier()
    probe.store_wide(0, 4)


UNIT_PROBES = (
    UnitProbe("transfer", "LOAD, STORE, wide memory", _transfer),
    UnitProbe("product", "MATMUL, DRAIN to wide memory", _product),
    UnitProbe("columns", "LOAD of operands by columns", _columns),
    UnitProbe("codes", "LOAD of weights of 4 bits", _codes, lambda config: config.bus.codecs),
    UnitProbe("stream", "DRAIN to STORE, exponents", _streamed),
    UnitProbe("activations", "DRAIN to activation memory", _normalized),
    UnitProbe("functions", "functions of DRAIN, accumulation", _functions, _rows),
    UnitProbe("operands", "DRAIN of keys and values", _operands, _rows),
    UnitProbe("norm", "NORM", _norm, _rows),
    UnitProbe("softmax", "SOFTMAX, division by its sum", _softmax, _rows),
    UnitProbe("best", "DRAIN of the largest", _best, _rows),
    UnitProbe("sample", "SAMPLE", _sample, lambda config: config.vector.candidates > 0),
)
"""In an order in which each needs only what those in front of it have checked."""
