"""One row of the array: its banks, its multipliers, its adders."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import WEIGHT_BITS, Config
from ..memory.bank import Bank
from .access import access
from .multiplier import MultiplierRow

__all__ = ["ArrayRow"]


class ArrayRow(wiring.Component):
    """Add the products of one mantissa and C weights to the sums from the row above.

    ``o_sums[c] = i_sums[c] + activation[control.activation] * operand[control.operand][c]`` ::

        i ──┬─────────────────────────────[ register ]──► o, to the next row
            ├──►[ operand bank    ]──►[ register ]──►[ × ]
            └──►[ activation bank ]──►[ register ]──►[ × ]──►( + )──►[ register ]──► o_sums
                                                               ▲
        i_sums ────────────────────────────────────────────────┘

    =========== ==========================================================
    Latency     ``o`` 1 cycle; ``o_sums`` 5 cycles (:attr:`latency`) after
                ``i``, 1 after ``i_sums``: as ``i`` reaches the next row a
                cycle later, so do the sums
    Throughput  a read and writes of both banks per cycle; never stalls
    Golden      :func:`systolith_sim.array.accumulator.accumulate`
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Shape of the array.
    index : int
        Which row this is.
    target : str
        "generic", "ecp5" or "ice40".

    Members
    -------
    i : In(access(config, index))
        This cycle's accesses.
    o : Out(access(config, index + 1))
        The same accesses, without this row's mantissa.
    i_sums : In(ArrayLayout(signed(sum_bits(index - 1)), columns))
        Sums of the rows above; row 0 has none.
    o_sums : Out(ArrayLayout(signed(sum_bits(index)), columns))
        Sums that include this row.
    """

    latency = 3 + MultiplierRow.latency

    i: data.View
    o: data.View
    i_sums: data.View
    o_sums: data.View

    def __init__(self, config: Config, index: int, target: str = "generic") -> None:
        self.config = config
        self.index = index
        self.target = target
        ports = {
            "i": In(access(config, index)),
            "o": Out(access(config, index + 1)),
            "o_sums": Out(_sums(config, index)),
        }
        if index:
            ports["i_sums"] = In(_sums(config, index - 1))
        super().__init__(ports)

    def elaborate(self, platform) -> Module:
        config = self.config
        m = Module()

        m.submodules.operands = operands = Bank(
            config.array.columns * WEIGHT_BITS,
            config.memory.operand_tiles,
            config.array.columns,
            style="block",
            single_port=config.memory.operand_single_port,
            target=self.target,
        )
        m.submodules.activations = activations = Bank(
            config.array.mantissa_bits,
            config.memory.activation_words,
            style="distributed" if config.memory.activation_distributed else "block",
            target=self.target,
        )
        m.submodules.multipliers = multipliers = MultiplierRow(config, self.target)

        self._elaborate_bus(m)
        self._elaborate_writes(m, operands, activations)

        # Block RAM is slow to give its data, so nothing but a register stands behind it.
        weights = Signal.like(operands.read_data, reset_less=True)
        mantissa = Signal.like(activations.read_data, reset_less=True)
        m.d.comb += [
            operands.read_address.eq(self.i.control.operand),
            activations.read_address.eq(self.i.control.activation),
            multipliers.weights.eq(weights),
            multipliers.mantissa.eq(mantissa),
        ]
        m.d.sync += [weights.eq(operands.read_data), mantissa.eq(activations.read_data)]

        sums = Signal.like(self.o_sums, reset_less=True)
        m.d.comb += self.o_sums.eq(sums)
        for column in range(config.array.columns):
            product = multipliers.products[column]
            above = self.i_sums[column] if self.index else 0
            m.d.sync += sums[column].eq(product + above)

        return m

    def _elaborate_bus(self, m: Module) -> None:
        """Hand all accesses to the next row, a cycle later."""
        strobe = Signal.like(self.o.strobe)
        m.d.sync += strobe.eq(self.i.strobe)
        m.d.comb += self.o.strobe.eq(strobe)
        for name, field in self.o.shape().members.items():
            if name == "strobe":
                continue
            register = Signal(field, name=name, reset_less=True)
            came = Value.cast(self.i[name])
            width = Shape.cast(field).width
            # Of the mantissas, the lowest stays here.
            m.d.sync += Value.cast(register).eq(came[len(came) - width :])
            m.d.comb += self.o[name].eq(register)

    def _elaborate_writes(self, m: Module, operands: Bank, activations: Bank) -> None:
        """Write the banks."""
        i, strobe = self.i, self.i.strobe
        group, slot = divmod(self.index, self.config.write_rows)
        columns = self.config.array.columns
        mantissa = i.mantissas[: self.config.array.mantissa_bits]
        weight = mantissa[:WEIGHT_BITS]
        whole = strobe.row & (i.group == group)
        shared = self.config.memory.operand_single_port
        m.d.comb += [
            operands.write_address.eq(i.control.operand if shared else i.tile),
            operands.write_data.eq(
                Mux(
                    strobe.column,
                    weight.replicate(columns),
                    i.data.word_select(slot, columns * WEIGHT_BITS),
                )
            ),
            operands.write_lanes.eq(
                whole.replicate(columns) | (strobe.column << i.lane)[:columns]
            ),
            activations.write_address.eq(i.word),
            activations.write_data.eq(mantissa),
            activations.write_lanes.eq(strobe.word),
        ]


def _sums(config: Config, index: int) -> data.ArrayLayout:
    """Return the shape of sums of rows 0 to ``index``, no wider than they need to be."""
    bits = config.array.product_bits + index.bit_length()
    return data.ArrayLayout(signed(bits), config.array.columns)
