"""The one place where accesses meet: what enters the array in each cycle."""

from typing import Any

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import lane_write, row_write, word_write
from .access import access, control_word

__all__ = ["Entry", "entry_latency"]


def entry_latency(config: Config) -> int:
    """Return the cycles from offering an access, not the vector unit's, to the first rows' seeing
    it."""
    return 0 if config.short_pipelines else 1


class Entry(wiring.Component):
    """Let one cycle's accesses into row 0, in which every row will then see them.

    ::

        words_vector ──►[ register ]──►┐ vector first
        words_load ───────────────────►┴─────┬──────────────────►[          ]
        lane_writes ───►[ register ]──►┐     ├─ columns first ──►[ register ]──► o
        rows ─────────────────────────►┴─────┘ vector first      [          ]
        control ─────────────────────────────── single port: ───►[          ]
                                                writes first

    ============= ========================================================
    words_vector  always enters
    lane_writes   always enter
    words_load    enters when ``words_vector`` and ``lane_writes`` offer
                  nothing
    rows          enter when no word enters that writes operands, and no
                  lanes; with a single-port operand memory when no word
                  enters
    control       always enters; with a single-port operand memory when
                  nothing enters that writes operands
    ============= ========================================================

    Who offers is far away, so LOAD's ``ready`` is a register: it tells of what the vector unit
    offered in the cycle before, and enters now. With ``short_pipelines`` there is no register.

    =========== ==========================================================
    Latency     1 cycle (:func:`entry_latency`), 2 for ``words_vector`` and
                ``lane_writes``; with ``short_pipelines`` none
    Stall       ``ready`` of ``rows`` and ``words_load`` is a register, with
                ``short_pipelines`` combinational from ``words_vector``; that
                of ``control`` comes combinationally from all that win
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Shape of the array, and whether the operand memory has a single port.

    Members
    -------
    control : In(stream of control_word(config))
        Reads.
    rows : In(stream of row_write(config))
        Row writes.
    words_load, words_vector : In(stream of word_write(config))
        Word writes; the vector unit's are always ready. LOAD offers a row or a word, never both.
    lane_writes : In(stream of lane_write(config), always ready)
        The vector unit's writes of L lanes of a row; only with ``vector.rows``. It offers a word or
        lanes, never both.
    o : Out(access(config, 0))
        What enters.
    """

    control: stream.Interface
    rows: stream.Interface
    words_load: stream.Interface
    words_vector: stream.Interface
    lane_writes: stream.Interface
    o: data.View

    def __init__(self, config: Config) -> None:
        self.config = config
        lanes = stream.Signature(lane_write(config), always_ready=True)
        super().__init__({
            "control": In(stream.Signature(control_word(config))),
            "rows": In(stream.Signature(row_write(config))),
            "words_load": In(stream.Signature(word_write(config))),
            "words_vector": In(stream.Signature(word_write(config), always_ready=True)),
            **({"lane_writes": In(lanes)} if config.vector.rows else {}),
            "o": Out(access(config, 0)),
        })

    def elaborate(self, platform) -> Module:
        single_port = self.config.memory.operand_single_port
        m = Module()

        vector = self._vector(m)
        row = self._row(m, vector)
        row_enters = self.rows.valid & self.rows.ready
        loaded = self.words_load.valid
        if self.config.vector.rows:
            row_enters |= vector.lanes_valid
            loaded &= ~vector.lanes_valid
        word_valid = Signal()
        word: Any = Signal(word_write(self.config))
        column = Signal()
        enters: Any = Signal(access(self.config, 0)["strobe"].shape)
        m.d.comb += [
            word_valid.eq(vector.valid | loaded),
            word.eq(Mux(vector.valid, vector.payload, self.words_load.payload)),
            column.eq(word_valid & word.operand),
            self.words_load.ready.eq(vector.room),
            self.rows.ready.eq(vector.room if single_port else vector.room_beside),
            self.control.ready.eq(~(enters.row | column) if single_port else 1),
            enters.read.eq(self.control.valid & self.control.ready),
            enters.row.eq(row_enters),
            enters.column.eq(column),
            enters.word.eq(word_valid & ~word.operand),
        ]

        self._leave(m, "strobe", enters, reset_less=False)
        tile = Mux(column, word.address, row.tile)
        mantissas = word.word.mantissas.as_value()
        control: Any = Signal(control_word(self.config))
        m.d.comb += control.eq(self.control.payload)
        if single_port:
            with m.If(enters.row | column):
                m.d.comb += control.operand.eq(tile)
            self._leave(m, "data", Mux(word_valid, mantissas, row.data.as_value()))
        else:
            self._leave(m, "tile", tile)
            self._leave(m, "data", row.data)
            self._leave(m, "mantissas", mantissas)
        self._leave(m, "control", control)
        self._leave(m, "group", row.group)
        if self.config.vector.rows:
            self._leave(m, "slots", row.slots)
            self._leave(m, "parts", row.parts)
        self._leave(m, "lane", word.lane)
        self._leave(m, "word", word.address)
        self._leave(m, "exponent", word.word.exponent)

        return m

    def _vector(self, m: Module) -> data.View:
        """Return the vector unit's word and lanes, and whether there is room for LOAD: for a word,
        and for a row beside this one."""
        word = self.words_vector
        members: dict[str, Any] = {
            "valid": 1, "payload": word_write(self.config), "room": 1, "room_beside": 1,
        }  # fmt: skip
        room, beside = ~word.valid, ~(word.valid & word.payload.operand)
        if self.config.vector.rows:
            members |= {"lanes_valid": 1, "lanes": lane_write(self.config)}
            room, beside = room & ~self.lane_writes.valid, beside & ~self.lane_writes.valid
        coming: Any = Signal(data.StructLayout(members))
        m.d.comb += [
            coming.valid.eq(word.valid),
            coming.payload.eq(word.payload),
            coming.room.eq(room),
            coming.room_beside.eq(beside),
        ]
        if self.config.vector.rows:
            m.d.comb += [
                coming.lanes_valid.eq(self.lane_writes.valid),
                coming.lanes.eq(self.lane_writes.payload),
            ]
        if self.config.short_pipelines:
            return coming
        vector: Any = Signal(coming.shape())
        for name in members:
            value = Value.cast(coming[name])
            register = Signal(
                len(value), name=f"vector_{name}", init=name in ("room", "room_beside"),
                reset_less=name in ("payload", "lanes"),
            )  # fmt: skip
            m.d.sync += register.eq(value)
            m.d.comb += Value.cast(vector[name]).eq(register)
        return vector

    def _row(self, m: Module, vector: Any) -> Any:
        """Return what is written to rows: LOAD's row, or the vector unit's lanes, copied to all
        places where a bank might look for them."""
        load, config = self.rows.payload, self.config
        if not config.vector.rows:
            return load
        groups, slots = len(load.group), config.write_rows
        row: Any = Signal(data.StructLayout({
            **dict(load.shape().members),
            "slots": slots, "parts": config.beats_per_result,
        }))  # fmt: skip
        lanes = vector.lanes
        slot = (slots - 1).bit_length()
        m.d.comb += [
            row.tile.eq(load.tile),
            row.group.eq(load.group),
            row.data.eq(load.data),
            row.slots.eq(-1),
            row.parts.eq(-1),
        ]
        with m.If(vector.lanes_valid):
            copies = slots * config.beats_per_result
            m.d.comb += [
                row.tile.eq(lanes.tile),
                row.group.eq(lanes.row[slot : slot + groups]),
                row.data.as_value().eq(lanes.data.as_value().replicate(copies)),
                row.slots.eq(1 << lanes.row[:slot]),
                row.parts.eq(1 << lanes.part),
            ]
        return row

    def _leave(self, m: Module, name: str, value: ValueLike, *, reset_less: bool = True) -> None:
        """Send ``value`` out as field ``name``, through the register if there is one."""
        field = Signal(self.o.shape().members[name], name=name, reset_less=reset_less)
        leave = m.d.comb if self.config.short_pipelines else m.d.sync
        leave += Value.cast(field).eq(Value.cast(value))
        m.d.comb += self.o[name].eq(field)
