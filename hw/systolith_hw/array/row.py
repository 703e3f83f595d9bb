"""One row of the array: its banks, its multipliers, its adders."""

from typing import Any

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..config import WEIGHT_BITS, Config
from ..memory.bank import Bank
from ..memory.stacked_bank import StackedBank
from .access import access
from .multiplier import MultiplierRow, products_latency

__all__ = ["ArrayRow", "sums_latency"]


def sums_latency(config: Config) -> int:
    """Return the cycles from an access of the last stage to the sums that leave it."""
    bank, adders = (1, 0) if config.short_pipelines else (2, 2)
    return bank + products_latency(config) + adders


class ArrayRow(wiring.Component):
    """Add the products of one mantissa and C weights to the sums from the rows above.

    ``o_sums[c] = i_sums[c] + activation[control.activation] * operand[control.operand][c]`` ::

        i ──┬───────────────────────────────────────────────────────[ register ]──► o
            ├──►[ operand bank    ]──►[ register ]──►┐
            └──►[ activation bank ]──►[ register ]──►[ × ]──►( + )──[ register ]──► o_sums
                                                               ▲
        i_sums ────────────────────────────────────────────────┘

    An even row gives its products alone, and the odd row below it adds both rows' products
    first, as a multiplier's own adder can, and then, a register later, ``i_sums``.

    Of ``memory.activation_rows`` rows that share an activation bank the first has it; those of
    stages behind its own take what it gives as many cycles later.

    Only the last row of a stage (``config.rows_per_stage``) has the two registers on the
    right: accesses reach the next stage a cycle later, and so do the sums. The bank of exponents
    belongs to the last stage. With ``short_pipelines`` there is no register behind the banks, nor
    between the two adders, nor behind the very last row.

    =========== ==========================================================
    Latency     :func:`sums_latency`: 6 cycles, 2 with ``short_pipelines``,
                from ``i`` to ``o_sums`` of the last row
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
    o_mantissas : Out(ArrayLayout(mantissa_bits, activation_rows))
        First row of those that share an activation bank: what it gives.
    i_mantissa : In(mantissa_bits)
        The others: their own of these.
    i_products : In(ArrayLayout(signed(product_bits), columns))
        Odd rows: products of the even row above.
    i_sums : In(ArrayLayout(signed(sum_bits(index - 2)), columns))
        Odd rows: sums of the rows above that; row 1 has none.
    o_products : Out(ArrayLayout(signed(product_bits), columns))
        Even rows: products.
    o_sums : Out(ArrayLayout(signed(sum_bits(index)), columns))
        Odd rows: sums that include this row.
    """

    i: data.View
    o: data.View
    o_mantissas: data.View
    i_mantissa: Signal
    i_products: data.View
    i_sums: data.View
    o_products: data.View
    o_sums: data.View

    def __init__(self, config: Config, index: int, target: str = "generic") -> None:
        self.config = config
        self.index = index
        self.target = target
        ports = {
            "i": In(access(config, index)),
            "o": Out(access(config, index + 1)),
        }
        products = data.ArrayLayout(signed(config.array.product_bits), config.array.columns)
        if index % 2 == 0:
            ports["o_products"] = Out(products)
        else:
            ports |= {"i_products": In(products), "o_sums": Out(_sums(config, index))}
        if index % 2 and index > 1:
            ports["i_sums"] = In(_sums(config, index - 2))
        if not self.is_holder:
            ports["i_mantissa"] = In(config.array.mantissa_bits)
        elif self.shares > 1:
            mantissas = data.ArrayLayout(config.array.mantissa_bits, self.shares)
            ports["o_mantissas"] = Out(mantissas)
        super().__init__(ports)

    @property
    def shares(self) -> int:
        """Rows whose mantissas stand in one bank."""
        return self.config.memory.activation_rows

    @property
    def is_holder(self) -> bool:
        """Whether the row has such a bank."""
        return self.index % self.shares == 0

    @property
    def ends_stage(self) -> bool:
        """Whether the next row is in another stage."""
        return (self.index + 1) % self.config.rows_per_stage == 0

    def elaborate(self, platform) -> Module:
        config = self.config
        m = Module()

        m.submodules.operands = operands = self._operands()
        activations = self._add_activations(m)
        m.submodules.multipliers = multipliers = MultiplierRow(
            config, adds=self.index % 2 == 1, target=self.target
        )

        # What leaves the row is registered at the end of a stage.
        leave = m.d.sync if self.ends_stage else m.d.comb
        is_last = self.index == config.array.rows - 1
        self._elaborate_bus(m, m.d.comb if is_last else leave)
        leave_sums = m.d.comb if is_last and config.short_pipelines else leave
        self._elaborate_writes(m, operands, activations)

        # Block RAM is slow to give its data, so nothing but a register stands behind it, or what
        # chooses between two memories of a stack.
        weights = Signal.like(operands.read_data, reset_less=True)
        mantissa = Signal(config.array.mantissa_bits, reset_less=True)
        between = m.d.comb if config.short_pipelines else m.d.sync
        between += [
            weights.eq(operands.read_data), mantissa.eq(self._read_mantissa(m, activations))
        ]  # fmt: skip
        m.d.comb += [
            operands.read_address.eq(self.i.control.operand),
            *([activations.read_address.eq(self.i.control.activation)] if activations else []),
            multipliers.weights.eq(weights),
            multipliers.mantissa.eq(mantissa),
        ]

        if self.index % 2 == 0:
            m.d.comb += self.o_products.eq(multipliers.sums)
            return m
        m.d.comb += multipliers.addends.eq(self.i_products)
        sums = Signal.like(self.o_sums, reset_less=True)
        m.d.comb += self.o_sums.eq(sums)
        both = Signal.like(multipliers.sums, reset_less=True)
        between += both.eq(multipliers.sums)
        for column in range(config.array.columns):
            above = self.i_sums[column] if self.index > 1 else 0
            leave_sums += sums[column].eq(both[column] + above)

        return m

    def _operands(self) -> Bank | StackedBank:
        """Return the bank of weights."""
        columns, memory = self.config.array.columns, self.config.memory
        parts = memory.operand_parts
        if len(parts) > 1:
            return StackedBank(columns * WEIGHT_BITS, parts, columns)
        return Bank(
            columns * WEIGHT_BITS,
            memory.operand_tiles,
            columns,
            style="block",
            single_port=memory.operand_single_port,
            target=self.target,
        )

    def _elaborate_bus(self, m: Module, leave: Any) -> None:
        """Hand all accesses to the next row."""
        strobe = Signal.like(self.o.strobe)
        leave += strobe.eq(self.i.strobe)
        m.d.comb += self.o.strobe.eq(strobe)
        for name, field in self.o.shape().members.items():
            if name == "strobe":
                continue
            register = Signal(field, name=name, reset_less=True)
            came = Value.cast(self.i[name])
            width = Shape.cast(field).width
            # Of the mantissas, the lowest stays here.
            leave += Value.cast(register).eq(came[len(came) - width :])
            m.d.comb += self.o[name].eq(register)

    def _add_activations(self, m: Module) -> Bank | None:
        """Add the bank of mantissas, if this row has it."""
        if not self.is_holder:
            return None
        m.submodules.activations = activations = Bank(
            self.config.array.mantissa_bits * self.shares,
            self.config.memory.activation_words,
            style="distributed" if self.config.memory.activation_distributed else "block",
            target=self.target,
        )
        return activations

    def _read_mantissa(self, m: Module, activations: Bank | None) -> Value:
        """Return this row's mantissa as it is read, when its own access is here."""
        if activations is not None:
            if self.shares > 1:
                m.d.comb += self.o_mantissas.eq(activations.read_data)
            return activations.read_data[: self.config.array.mantissa_bits]
        stage, holder = self.config.rows_per_stage, self.index - self.index % self.shares
        stages_between = self.index // stage - holder // stage
        mantissa: Value = self.i_mantissa
        for index in range(stages_between):
            late = Signal.like(mantissa, name=f"late_{index}", reset_less=True)
            m.d.sync += late.eq(mantissa)
            mantissa = late
        return mantissa

    def _mantissas(self, rows: int) -> Value:
        """Return the mantissas that come to this row and the next."""
        bits = self.config.array.mantissa_bits
        if self.config.memory.operand_single_port:
            return self.i.data[self.index * bits :][: rows * bits]
        return self.i.mantissas[: rows * bits]

    def _elaborate_writes(
        self, m: Module, operands: Bank | StackedBank, activations: Bank | None
    ) -> None:
        """Write the banks."""
        i, strobe = self.i, self.i.strobe
        group, slot = divmod(self.index, self.config.write_rows)
        columns = self.config.array.columns
        shared = self.config.memory.operand_single_port
        weight = self._mantissas(1)[:WEIGHT_BITS]
        whole = strobe.row & (i.group == group)
        lanes: Value = whole.replicate(columns)
        if self.config.vector.rows:
            part = self.config.vector.lanes
            mine = whole & i.slots[slot]
            lanes = Cat((mine & written).replicate(part) for written in i.parts)
        m.d.comb += [
            operands.write_address.eq(i.control.operand if shared else i.tile),
            operands.write_data.eq(
                Mux(
                    strobe.column,
                    weight.replicate(columns),
                    i.data.word_select(slot, columns * WEIGHT_BITS),
                )
            ),
            operands.write_lanes.eq(lanes | (strobe.column << i.lane)[:columns]),
        ]
        if activations is not None:
            m.d.comb += [
                activations.write_address.eq(i.word),
                activations.write_data.eq(self._mantissas(self.shares)),
                activations.write_lanes.eq(strobe.word),
            ]


def _sums(config: Config, index: int) -> data.ArrayLayout:
    """Return the shape of sums of rows 0 to ``index``, no wider than they need to be."""
    bits = config.array.product_bits + index.bit_length()
    return data.ArrayLayout(signed(bits), config.array.columns)
