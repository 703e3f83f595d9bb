"""What a MATMUL asks for, as the loops that execute it see it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from amaranth import *
from amaranth.lib import data

from ..config import Config
from ..interfaces import PC_BITS
from ..isa import Opcode
from ..limits import field_bits, steps_limit
from ..sequencer.permit import semaphore

__all__ = ["job", "job_of", "strides_of", "token"]

NONE: Mapping[str, Value] = MappingProxyType({})

STRIDES = ("strided", "stride_room", "stride_back")


def job(config: Config) -> data.StructLayout:
    """Return the shape of what holds for a whole instruction: its fields, as narrow as can be."""
    bits = field_bits(config, Opcode.MATMUL)
    tile = range(config.memory.operand_tiles)
    word = range(config.memory.activation_words)
    return data.StructLayout({
        "operand": tile,
        "ring_base": tile,
        "ring_last": tile,  # the last operand of the ring
        "operand_stride": tile,  # low bits: zero if it is 2 ** their number
        "strided": 1,  # output tiles' operands do not follow one another
        "stride_room": range(config.memory.operand_tiles + 1),  # from here on a stride wraps
        "stride_back": tile,  # what it adds then
        "activation": word,
        "stride": word,
        "stride_overflow": 1,  # the stride has more bits
        "steps": range(steps_limit(config) + 1),
        **({"numbered": bits["numbered"]} if config.array.numbered else {}),
        **{name: bits[name] for name in ("tokens", "groups", "tiles", "tiles_last")},
        "wait_outer": semaphore(),
        "wait_inner": semaphore(),
        "post_outer": semaphore(),
        "post_inner": semaphore(),
        "pc": PC_BITS,
    })


def job_of(config: Config, instruction: Any, strides: Mapping[str, Value] = NONE) -> Value:
    """Return the :func:`job` of a legal instruction, as plain bits.

    ``strides`` are :func:`strides_of` the instruction, if anyone wants them.
    """
    layout = job(config)
    stride = instruction.activation_stride
    fields = {
        "ring_last": instruction.ring_end - 1,
        "stride": stride,
        "stride_overflow": stride[layout["stride"].width :].any(),
        **{name: strides.get(name, Const(0, layout[name].width)) for name in STRIDES},
    }
    return Cat(
        (fields[name] if name in fields else Value.cast(instruction[name]))[: field.width]
        for name, field in layout
    )


def strides_of(config: Config, instruction: Any) -> dict[str, Value]:
    """Return what of a :func:`job` has to be calculated from strides in the ring.

    The operand behind ``x`` is x + operand_stride for x < stride_room, else x + stride_back.
    """
    stride, end = instruction.operand_stride, instruction.ring_end
    bits = job(config)["stride_room"].width
    room = (end - stride)[:bits]
    back = (stride[:bits] - end[:bits] + instruction.ring_base[:bits])[:bits]
    return {"strided": stride.any(), "stride_room": room, "stride_back": back}


def token(config: Config) -> data.StructLayout:
    """Return the shape of a token of a group: what the inner loops need beside the job.

    ``start`` marks the first token of an instruction. With ``zero_count`` or ``out_of_range`` it
    is a fault in place of a token.
    """
    members = job(config).members
    return data.StructLayout({
        "start": 1,
        "group_end": 1,
        "activation": members["activation"],
        "steps": members["steps"],
        "tiles": members["tiles"],
        "zero_count": 1,
        "out_of_range": 1,
    })

