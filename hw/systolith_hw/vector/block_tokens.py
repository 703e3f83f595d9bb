"""The tokens of DRAIN, one after another: where each of them goes, and whether it may."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..isa import SLOT_BITS
from .block_limits import BlockLimits
from .block_order import block_order, drain_descriptor, place_bits
from .order import fold
from .token_address import TokenAddress

__all__ = ["BlockTokens", "token_place"]


ROW_OPTIONS = ("factor", "scaled", "maximum", "measure", "rotate")
"""Flags of an order that has to do with a row."""


def token_place(config: Config) -> data.StructLayout:
    """Return the shape of what is known of a token of a group before its first beat.

    * ``destination``, ``scale``: its first word, and its first scale word.
    * ``entry``: the channel that its exponent goes to, the end of those that a maximum takes in, or
      the first wide word of PRODUCT or activation word of MEASURED, folded (:func:`~.order.fold`).
    * ``row``: its row of row memory, or of angles; ``lane``: its column, or row, of operand tiles.
    * ``outside``: something of it is outside a memory.
    * ``group_begins``, ``group_ends``, ``last_group``: it is the first or the last of its group,
      and that one the last.
    """
    array, bits = config.array, place_bits(config)
    return data.StructLayout({
        "destination": bits["destination"],
        "scale": bits["scale"],
        "entry": bits["entry"] + 1,
        "row": bits["row"],
        "lane": range(max(array.rows, array.columns)),
        **dict.fromkeys(("outside", "group_begins", "group_ends", "last_group"), 1),
    })


class BlockTokens(wiring.Component):
    """Stand at a token that has not begun, and step to the next one as it begins.

    =========== ======================================================================
    Latency     1 cycle from ``load`` or ``step``, but see ``settled``
    Throughput  a token per cycle
    Golden      :mod:`systolith_sim.machine.vector`: which words a token reads and writes
    =========== ======================================================================

    Parameters
    ----------
    config : Config
        Shapes and depths.

    Members
    -------
    load : In(1), first : In(drain_descriptor(config))
        Stand at the first token of this instruction, :func:`~.block_order.as_drain`.
    order : In(block_order(config))
        The same, from the next cycle on.
    step : In(1)
        Go on to the next token.
    settled : Out(1)
        ``token.outside`` is known: after as many cycles as VALUES have tiles, at once otherwise.
    token : Out(token_place(config))
        The token.
    """

    load: Signal
    first: data.View
    order: data.View
    step: Signal
    settled: Signal
    token: data.View

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "load": In(1),
            "first": In(drain_descriptor(config)),
            "order": In(block_order(config)),
            "step": In(1),
            "settled": Out(1),
            "token": Out(token_place(config)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        memory, lanes = self.config.memory, self.config.vector.lanes
        order: Any = self.order
        token: Any = self.token
        m.submodules.limits = limits = BlockLimits(self.config)
        m.d.comb += [
            limits.load.eq(self.load),
            limits.first.eq(self.first),
            limits.order.eq(order),
            limits.last_group.eq(token.last_group),
            self.settled.eq(limits.settled),
        ]
        group_ends = self._elaborate_counts(m)
        wraps = self._elaborate_lane(m, group_ends)
        address = self._elaborate_addresses(m, group_ends, wraps)

        operands = order.to_keys | order.to_values
        outside = {
            "destination": ~(order.to_stream | order.gather)
            & _beyond(address["destination"], limits.destination),
            "scale": ~(order.factor | order.sample) & _beyond(address["scale"], limits.scale),
            "entry": operands & (address["entry"] >= memory.scale_words * lanes),
            "second": (order.product | order.measure) & _beyond(address["entry"], limits.second),
            "row": Cat(order[name] for name in ROW_OPTIONS).any() & (address["row"] >= order.rows),
        }
        m.d.comb += token.outside.eq(Cat(outside.values()).any())
        return m

    def _elaborate_counts(self, m: Module) -> Signal:
        """Count the tokens of the group and the groups; return whether this is the group's last."""
        first: Any = self.first
        order: Any = self.order
        group_begins, group_ends, last_group = (
            Signal(name=name, reset_less=True)
            for name in ("group_begins", "group_ends", "last_group")
        )
        # How many come behind this one.
        tokens, groups = (
            Signal(SLOT_BITS, name=name, reset_less=True) for name in ("tokens", "groups")
        )
        with m.If(self.load):
            m.d.sync += [
                tokens.eq(first.tokens - 1),
                groups.eq(first.groups - 1),
                group_begins.eq(1),
                group_ends.eq(first.tokens == 1),
                last_group.eq(first.groups == 1),
            ]
        with m.Elif(self.step):
            m.d.sync += [
                tokens.eq(tokens - 1),
                group_begins.eq(group_ends),
                group_ends.eq(tokens == 1),
            ]
            with m.If(group_ends):
                m.d.sync += [
                    tokens.eq(order.most_tokens),
                    groups.eq(groups - 1),
                    group_ends.eq(order.most_tokens == 0),
                    last_group.eq(groups == 1),
                ]
        m.d.comb += [
            self.token.group_begins.eq(group_begins),
            self.token.group_ends.eq(group_ends),
            self.token.last_group.eq(last_group),
        ]
        return group_ends

    def _elaborate_lane(self, m: Module, group_ends: Value) -> Value:
        """Count columns or rows of a tile; return whether the next token begins with them anew."""
        array = self.config.array
        first: Any = self.first
        order: Any = self.order
        lane = Signal(range(max(array.rows, array.columns)), reset_less=True)
        wraps = lane == Mux(order.to_values, array.rows - 1, array.columns - 1)
        with m.If(self.load):
            m.d.sync += lane.eq(first.columns_last)
        with m.Elif(self.step):
            m.d.sync += lane.eq(Mux(group_ends, order.columns_last, Mux(wraps, 0, lane + 1)))
        m.d.comb += self.token.lane.eq(lane)
        return wraps

    def _elaborate_addresses(
        self, m: Module, group_ends: Value, wraps: Value
    ) -> dict[str, Signal]:
        """Step the addresses, and return them folded."""
        first: Any = self.first
        order: Any = self.order
        operands = order.to_keys | order.to_values
        tile_stride = Mux(wraps, Mux(order.to_values, 1, order.token_stride), 0)
        parts: dict[str, tuple[Value, Value, Value]] = {
            "destination": (
                first.destination, Mux(operands, tile_stride, order.token_stride),
                order.group_stride,
            ),
            "scale": (first.scale, C(0), order.scale_stride),
            "entry": (
                first.entries, Mux(order.product, order.entry_stride, 1), order.entry_stride
            ),
            "row": (first.row, C(1), C(0)),
        }  # fmt: skip
        found: dict[str, Signal] = {}
        for name, bits in place_bits(self.config).items():
            address = TokenAddress(bits)
            m.submodules[name] = address
            begin, token_stride, group_stride = parts[name]
            # PRODUCT's factors follow one another, whatever the group.
            own_groups = ~order.product if name == "entry" else C(1)
            m.d.comb += [
                address.load.eq(self.load),
                address.first.eq(fold(begin, bits)),
                address.step.eq(self.step),
                address.to_group.eq(group_ends & own_groups),
                address.token_stride.eq(token_stride),
                address.group_stride.eq(group_stride),
                self.token[name].eq(address.address),
            ]
            found[name] = address.address
        return found


def _beyond(address: Value, limit: Value) -> Value:
    """Return whether a folded address is above a limit, or there is none."""
    return address[-1] | limit[-1] | (address[:-1] > limit[:-1])
