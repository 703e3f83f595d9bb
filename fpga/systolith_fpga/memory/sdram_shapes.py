"""What travels between the parts of the SDRAM controller, and its two sides."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .sdram_chips import SdramChip

__all__ = [
    "SEGMENT_WORDS",
    "BurstPort",
    "SdramPins",
    "beat",
    "burst",
    "command",
    "segment",
    "written",
]

SEGMENT_WORDS = 32
"""Words of the longest run of columns that is decided on at once: a burst is cut at multiples of
it. A refresh waits for two of them at most, and data for one are there before it begins."""


def burst(address_bits: int) -> data.StructLayout:
    """Return a burst's request: byte ``address``, a multiple of the beat, and ``beats`` less 1."""
    return data.StructLayout({"address": address_bits, "last": 8, "write": 1})


def beat(data_bytes: int) -> data.StructLayout:
    """Return a beat read; ``last`` ends the burst."""
    return data.StructLayout({"data": 8 * data_bytes, "last": 1})


def written(data_bytes: int) -> data.StructLayout:
    """Return a beat to write; byte i is written where bit i of ``strobe`` is one."""
    return data.StructLayout({"data": 8 * data_bytes, "strobe": data_bytes})


def segment(chip: SdramChip) -> data.StructLayout:
    """Return words of one row: ``last`` + 1 of them; ``final`` ends the burst."""
    return data.StructLayout({
        "row": chip.row_bits,
        "bank": chip.bank_bits,
        "column": chip.column_bits,
        "last": range(SEGMENT_WORDS),
        "write": 1,
        "final": 1,
    })


def command(chip: SdramChip) -> data.StructLayout:
    """Return a command: the pins RAS, CAS and WE, one where the pin is low; all zero is NOP."""
    return data.StructLayout({
        "ras": 1, "cas": 1, "we": 1, "bank": chip.bank_bits, "address": chip.row_bits,
    })  # fmt: skip


class BurstPort(wiring.Signature):
    """Bursts, reads and writes in one order, seen from the client.

    Members
    -------
    request : Out(stream of :func:`burst`)
        In the order in which they take effect.
    write : Out(stream of :func:`written`)
        Beats of writes, in the order of their requests.
    read : In(stream of :func:`beat`)
        Beats of reads, in the order of their requests.
    """

    def __init__(self, address_bits: int, data_bytes: int) -> None:
        super().__init__({
            "request": Out(stream.Signature(burst(address_bits))),
            "write": Out(stream.Signature(written(data_bytes))),
            "read": In(stream.Signature(beat(data_bytes))),
        })


class SdramPins(wiring.Signature):
    """Pins of a chip, seen from the controller; all but the clock, which the board makes.

    Members
    -------
    cke, cs_n, ras_n, cas_n, we_n : Out(1)
        Command.
    ba, a : Out
        Bank, and row or column.
    dqm : Out(2)
        Bytes not to write.
    dq_o, dq_oe, dq_i : Out(16), Out(1), In(16)
        Data, both ways, and whether the controller drives them.
    """

    def __init__(self, chip: SdramChip) -> None:
        bits = 8 * chip.data_bytes
        super().__init__({
            **{name: Out(1) for name in ("cke", "cs_n", "ras_n", "cas_n", "we_n")},
            "ba": Out(chip.bank_bits),
            "a": Out(chip.row_bits),
            "dqm": Out(chip.data_bytes),
            "dq_o": Out(bits),
            "dq_oe": Out(1),
            "dq_i": In(bits),
        })
