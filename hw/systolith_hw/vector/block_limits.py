"""How far into its memories a token of DRAIN may begin."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import HEAD_CHANNELS, Config
from ..drain_rules import SHARED
from ..isa import DrainKind
from .block_order import block_order, drain_descriptor, place_bits

__all__ = ["BlockLimits"]


class BlockLimits(wiring.Component):
    """Find the last address at which a token may begin so that all its words are inside a memory.

    A token of T tiles has T * C channels, and a memory of D words of n channels has room for it
    from word ``(D * n - T * C) // n`` on. The tiles of VALUES are ``token_stride`` apart, which
    takes a cycle for each of them to subtract. ::

        destination   activation words, operand tiles as KEYS: n = R; wide words: n = L
                      operand tiles as VALUES: D - 1 - (T - 1) * token_stride; BEST: D - 1
        scale         scale words: n = L
        second        wide words: n = L; of MEASURED activation words: n = R

    A limit has the bits of an address and one more, which says that there is no room anywhere.

    =========== ======================================================================
    Latency     1 cycle; for VALUES of T tiles T cycles
    =========== ======================================================================

    Parameters
    ----------
    config : Config
        Shapes and depths.

    Members
    -------
    load : In(1), first : In(drain_descriptor(config))
        Begin with this instruction, :func:`~.block_order.as_drain`.
    order : In(block_order(config))
        The same, from the next cycle on.
    last_group : In(1)
        The limits of the last group are wanted.
    settled : Out(1)
        These are the limits.
    destination, scale, second : Out(bits of an address + 1)
        The limits; the last one is that of PRODUCT's factors, or of MEASURED's words.
    """

    load: Signal
    first: data.View
    order: data.View
    last_group: Signal
    settled: Signal
    destination: Signal
    scale: Signal
    second: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        bits = place_bits(config)
        super().__init__({
            "load": In(1),
            "first": In(drain_descriptor(config)),
            "order": In(block_order(config)),
            "last_group": In(1),
            "settled": Out(1),
            **{name: Out(bits[name] + 1) for name in ("destination", "scale")},
            "second": Out(
                (max(config.memory.wide_words, config.memory.activation_words) - 1).bit_length() + 1
            ),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        memory, lanes = self.config.memory, self.config.vector.lanes
        first: Any = self.first
        order: Any = self.order
        shared = Cat(first.kind == kind for kind in SHARED).any()
        found: dict[str, Signal] = {}
        for name, tiles in (
            ("all", first.tiles), ("last", Mux(shared, first.tiles, first.tiles_last))
        ):  # fmt: skip
            limits = {
                "scale": self._limit(len(self.scale), memory.scale_words, lanes, tiles),
                "second": self._second(tiles),
                "destination": self._destination(tiles),
            }
            for which, limit in limits.items():
                kept = Signal.like(
                    getattr(self, which), name=f"{which}_{name}", reset_less=True
                )
                with m.If(self.load):
                    m.d.sync += kept.eq(limit)
                found[kept.name] = kept
        self._elaborate_values(m, found["destination_all"])
        last_words = self.last_group & ~order.to_values
        m.d.comb += [
            *(getattr(self, which).eq(
                Mux(self.last_group, found[f"{which}_last"], found[f"{which}_all"])
            ) for which in ("scale", "second")),
            self.destination.eq(
                Mux(last_words, found["destination_last"], found["destination_all"])
            ),
        ]
        return m

    def _limit(self, bits: int, depth: int | Value, channels: int, tiles: Value) -> Value:
        """Return the limit in a memory of ``depth`` words of ``channels`` each."""
        word_bits, column_bits = (
            (size - 1).bit_length() for size in (channels, self.config.array.columns)
        )
        room = Value.cast(depth).shift_left(word_bits) - tiles.shift_left(column_bits)
        return Cat(room[word_bits : word_bits + bits - 1], room[-1])

    def _second(self, tiles: Value) -> Value:
        """Return the limit of what is read or written in a second place."""
        config, bits = self.config, len(self.second)
        wide = self._limit(bits, config.memory.wide_words, config.vector.lanes, tiles)
        words = self._limit(bits, config.memory.activation_words, config.array.rows, tiles)
        return Mux(self.first.kind == DrainKind.MEASURED, words, wide)

    def _destination(self, tiles: Value) -> Value:
        """Return the limit of what is written, without the strides of VALUES."""
        memory, bits = self.config.memory, len(self.destination)
        first: Any = self.first
        depth = Mux(first.kind == DrainKind.KEYS, memory.operand_tiles, memory.activation_words)
        words = self._limit(bits, depth, self.config.array.rows, tiles)
        wide = self._limit(bits, memory.wide_words, self.config.vector.lanes, tiles)
        values = Const(memory.operand_tiles - 1, bits)
        best = Const(memory.wide_words - 1, bits)
        kind = first.kind
        one = Mux(kind == DrainKind.VALUES, values, best)
        single = (kind == DrainKind.VALUES) | (kind == DrainKind.BEST)
        to_wide = (kind == DrainKind.WIDE) | (kind == DrainKind.MEASURED)
        return Mux(single, one, Mux(to_wide, wide, words))

    def _elaborate_values(self, m: Module, limit: Signal) -> None:
        """Take a stride off for each tile of VALUES but one."""
        first: Any = self.first
        order: Any = self.order
        left = Signal(range(HEAD_CHANNELS // self.config.array.columns + 1), reset_less=True)
        # A register, since whether a token may begin depends on much else.
        settled = Signal(init=1)
        lowered = limit[:-1] - order.token_stride[:-1]
        none = limit[-1] | order.token_stride[-1] | lowered[-1]
        strides = (first.tiles - 1)[: len(left)]
        m.d.comb += self.settled.eq(settled)
        with m.If(self.load):
            m.d.sync += [
                left.eq(strides),
                settled.eq((first.kind != DrainKind.VALUES) | ~strides.any()),
            ]
        with m.Elif(~settled):
            m.d.sync += [
                left.eq(left - 1),
                settled.eq(left == 1),
                limit.eq(Cat(lowered[: len(limit) - 1], none)),
            ]
