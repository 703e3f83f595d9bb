"""The outer loops of MATMUL, over groups and tokens, and the semaphores they wait for."""

from typing import Any

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import Config
from ..interfaces import PC_BITS, SemaphoreWait, descriptor
from ..isa import SLOT_BITS, Opcode
from ..sequencer.permit import Permit, semaphore

__all__ = ["TokenLoop", "token"]



def token(config: Config) -> data.StructLayout:
    """Return the shape of a token of a group: all that the inner loops need to know.

    ``start`` marks the first token of an instruction; its operands begin at ``operand``. The
    operands of any other token are those of the token before, or follow them if that one had
    ``group_end``. With ``zero_count`` or ``out_of_range`` it is a fault in place of a token.
    """
    tile = range(config.memory.operand_tiles)
    return data.StructLayout({
        "start": 1,
        "group_end": 1,
        "operand": tile,
        "ring_base": tile,
        "ring_last": tile,
        "activation": range(config.memory.activation_words),
        "steps": range(_steps_limit(config) + 1),
        "tiles": SLOT_BITS,
        "post_inner": semaphore(),
        "post_outer": semaphore(),
        "pc": PC_BITS,
        "zero_count": 1,
        "out_of_range": 1,
    })


def _steps_limit(config: Config) -> int:
    """Return the longest reduction, in steps, that accumulators and activation memory hold."""
    return min(-(-config.array.max_k // config.array.rows), config.memory.activation_words)


def _work(config: Config) -> data.StructLayout:
    """Return the shape of the instruction that is being taken apart.

    It is the current :func:`token` and what the tokens after it need.
    """
    word = range(config.memory.activation_words)
    return data.StructLayout({
        "token": token(config),
        "overflow": 1,  # token.activation has run past 2 ** its width
        "activation_end": word,  # the last word at which a token may begin
        "activation_base": word,
        "stride": word,
        "stride_overflow": 1,
        "tokens": SLOT_BITS,
        "tokens_left": SLOT_BITS,
        "groups_left": SLOT_BITS,
        "group_last": 1,
        "tiles_last": SLOT_BITS,
        "wait_outer": semaphore().size,
        "wait_inner": semaphore().size,
    })


class TokenLoop(wiring.Component):
    """Check MATMULs and take them apart into tokens, each when its semaphores are there.

    While one token is under way below, this loop already waits for the next, also across the
    border of two instructions. An instruction is checked while it is offered; one that is wrong
    waits for nothing, and its first token says what is wrong. So does any token whose words
    would leave the activation memory.

    =========== ==========================================================
    Latency     an instruction is accepted 1 cycle after it is offered, at
                the earliest; its first token is offered in the cycle after
                that, or when the token's last semaphore is taken
    Throughput  1 token per cycle; with two semaphores to wait for, 1 in 2;
                1 instruction in 2 cycles
    Stall       ``o.valid`` comes combinationally from ``wait.ready``, and
                ``instruction.ready`` from ``wait.ready`` and ``o.ready``
    =========== ==========================================================

    Parameters
    ----------
    config : Config
        Depths and limits that the instruction is held against.

    Members
    -------
    instruction : In(stream of descriptor(Opcode.MATMUL))
        What to do.
    wait : Out(SemaphoreWait)
        Semaphores to take.
    o : Out(stream of token(config))
        Tokens of all groups, in order.
    halt : In(1)
        Accept nothing.
    busy : Out(1)
        There is an instruction with tokens left.
    """

    instruction: stream.Interface
    wait: Any
    o: stream.Interface
    halt: Signal
    busy: Signal

    def __init__(self, config: Config) -> None:
        self.config = config
        super().__init__({
            "instruction": In(stream.Signature(descriptor(Opcode.MATMUL))),
            "wait": Out(SemaphoreWait()),
            "o": Out(stream.Signature(token(config))),
            "halt": In(1),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()

        m.submodules.permit = permit = Permit()
        wiring.connect(m, permit.wait, wiring.flipped(self.wait))

        work: Any = Signal(_work(self.config), reset_less=True)
        offered = self.instruction.payload
        group_end = work.token.group_end
        final = Signal()
        advance = Signal()
        accept = Signal()
        m.d.comb += [
            final.eq(group_end & work.group_last),
            self.o.valid.eq(self.busy & permit.granted),
            self.o.payload.eq(work.token),
            self.o.payload.out_of_range.eq(
                work.token.out_of_range
                | work.overflow
                | (work.token.activation > work.activation_end)
            ),
            advance.eq(self.o.valid & self.o.ready),
            accept.eq(self.instruction.valid & self.instruction.ready),
        ]
        wrong = self._elaborate_check(m, accept, free=~self.busy | (advance & final))

        wait_inner = Mux(accept, offered.wait_inner, work.wait_inner)
        wait_outer = Mux(accept, offered.wait_outer, work.wait_outer)
        m.d.comb += [
            permit.begin.eq(accept | (advance & ~final)),
            permit.inner.eq(Mux(accept & wrong.any(), 0, wait_inner)),
            permit.outer.eq(Mux(Mux(accept, wrong.any(), ~group_end), 0, wait_outer)),
        ]
        with m.If(advance):
            m.d.sync += self.busy.eq(~final)
            self._elaborate_advance(m, work)
        with m.If(accept):
            m.d.sync += [self.busy.eq(1), work.token.zero_count.eq(wrong[0]),
                         work.token.out_of_range.eq(wrong[1])]
            self._elaborate_load(m, work)

        return m

    def _elaborate_check(self, m: Module, accept: Value, free: Value) -> Value:
        """Check the instruction that is offered; return whether it has a zero count, and whether
        an address is out of range."""
        memory = self.config.memory
        offered = self.instruction.payload
        counts = (offered.tokens, offered.groups, offered.tiles, offered.tiles_last, offered.steps)
        checked = Signal()
        zero_count = Signal(reset_less=True)
        out_of_range = Signal(5, reset_less=True)
        m.d.sync += [
            checked.eq(self.instruction.valid & ~accept),
            zero_count.eq(Cat(count == 0 for count in counts).any()),
            out_of_range.eq(Cat(
                offered.ring_end > memory.operand_tiles,
                offered.ring_base >= offered.ring_end,
                offered.operand >= offered.ring_end,
                offered.activation >= memory.activation_words,
                offered.steps > _steps_limit(self.config),
            )),
        ]  # fmt: skip
        m.d.comb += self.instruction.ready.eq(checked & free & ~self.halt)
        return Cat(zero_count, out_of_range.any())

    def _elaborate_load(self, m: Module, work: Any) -> None:
        """Begin with the instruction that is offered."""
        memory = self.config.memory
        offered = self.instruction.payload
        address_bits = len(work.stride)
        single = offered.groups == 1
        m.d.sync += [
            work.token.start.eq(1),
            work.token.group_end.eq(offered.tokens == 1),
            work.token.operand.eq(offered.operand),
            work.token.ring_base.eq(offered.ring_base),
            work.token.ring_last.eq(offered.ring_end - 1),
            work.token.activation.eq(offered.activation),
            work.token.steps.eq(offered.steps),
            work.token.tiles.eq(Mux(single, offered.tiles_last, offered.tiles)),
            work.token.post_inner.eq(offered.post_inner),
            work.token.post_outer.eq(offered.post_outer),
            work.overflow.eq(0),
            work.activation_end.eq(memory.activation_words - offered.steps),
            work.activation_base.eq(offered.activation),
            work.stride.eq(offered.activation_stride),
            work.stride_overflow.eq(offered.activation_stride[address_bits:].any()),
            work.tokens.eq(offered.tokens),
            work.tokens_left.eq(offered.tokens),
            work.groups_left.eq(offered.groups),
            work.group_last.eq(single),
            work.tiles_last.eq(offered.tiles_last),
            work.wait_outer.eq(offered.wait_outer),
            work.wait_inner.eq(offered.wait_inner),
            work.token.pc.eq(offered.pc),
        ]

    def _elaborate_advance(self, m: Module, work: Any) -> None:
        """Go on to the next token, or to the first of the next group."""
        moved = work.token.activation + work.stride
        m.d.sync += work.token.start.eq(0)
        with m.If(work.token.group_end):
            m.d.sync += [
                work.token.activation.eq(work.activation_base),
                work.overflow.eq(0),
                work.tokens_left.eq(work.tokens),
                work.token.group_end.eq(work.tokens == 1),
                work.groups_left.eq(work.groups_left - 1),
            ]
            with m.If(work.groups_left == 2):
                m.d.sync += [work.group_last.eq(1), work.token.tiles.eq(work.tiles_last)]
        with m.Else():
            m.d.sync += [
                Cat(work.token.activation, work.overflow).eq(moved),
                work.tokens_left.eq(work.tokens_left - 1),
                work.token.group_end.eq(work.tokens_left == 2),
            ]
            with m.If(work.stride_overflow):
                m.d.sync += work.overflow.eq(1)
