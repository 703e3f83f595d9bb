"""The ports of the top module, in groups, and what each of them is for."""

import re
from dataclasses import dataclass

from amaranth.hdl import Shape
from amaranth.lib.wiring import In, Out

from .bus.kinds import bus_kind
from .config import Config

__all__ = ["GROUPS", "Port", "ports", "ports_markdown"]

CHANNELS = {
    "ar": "read address",
    "r": "read data",
    "aw": "write address",
    "w": "write data",
    "b": "write response",
}

AXI = {
    "addr": "byte address",
    "burst": "kind of burst, always incrementing",
    "cache": "memory type, always normal, not cached, bufferable",
    "data": "data",
    "id": "ID of the transaction",
    "last": "last beat of the burst",
    "len": "beats of the burst less one",
    "lock": "exclusive access, always zero",
    "prot": "protection, always zero from the master, ignored by the slave",
    "ready": "the receiver takes it",
    "resp": "0 when all went well",
    "size": "log2 of the bytes in a beat, always that of the port",
    "strb": "which bytes are written",
    "valid": "the sender offers it and holds it until it is taken",
}

WISHBONE = {
    "cyc": "a cycle: the master has the bus, or wants it",
    "stb": "strobe: the rest of what the master drives means something",
    "we": "write",
    "adr": "address in words of the port",
    "sel": "which bytes are written; all ones for reads of the master",
    "dat_w": "data to the slave",
    "dat_r": "data from the slave, with ack",
    "ack": "answer: done",
    "err": "answer: an error, in place of ack or beside it",
    "stall": "the slave does not take the strobe; cyc & ~(ack | err) if it is not pipelined",
    "cti": "cycle type: 0 single, 2 incrementing burst, 7 last of a burst",
    "bte": "burst type, always linear",
}

STREAMS = {
    "request_valid": "a burst is wanted; held until it is taken",
    "request_ready": "memory takes the request",
    "request_address": "byte address of the first beat",
    "request_last": "beats of the burst less one",
    "data_valid": "a beat is offered",
    "data_ready": "the receiver takes the beat",
    "data_data": "the beat",
    "data_error": "this beat could not be read",
    "data_last": "last beat of the burst",
    "data_strobe": "which bytes are written",
    "response_valid": "a burst has been written, or not; always taken",
    "response_error": "it has not",
}

REGISTER = {
    "address": "byte address, steady until the access is over",
    "error": "there is no register at this address; combinational",
    "write": "strobe: write write_data",
    "write_data": "what to write",
    "read": "strobe: read",
    "valid": "strobe, one cycle later or more: done",
    "read_data": "what was read, until the next access",
}

GROUPS = {
    r"(clk|rst|irq)": ("system", {
        "clk": "the only clock, rising edge",
        "rst": "reset, synchronous, active high, at least 16 cycles after power-up",
        "irq": "level: an enabled interrupt is pending",
    }),
    r"m_axi_(.*)": ("memory: AXI4 master", {
        channel + signal: f"{what}: {meaning}"
        for channel, what in CHANNELS.items() for signal, meaning in AXI.items()
    }),
    r"s_axil_(.*)": ("registers: AXI4-Lite slave", {
        channel + signal: f"{what}: {meaning}"
        for channel, what in CHANNELS.items() for signal, meaning in AXI.items()
    }),
    r"m_wb_(.*)": ("memory: Wishbone B4 master, pipelined", WISHBONE),
    r"s_wb_(.*)": ("registers: Wishbone B4 slave, classic", WISHBONE),
    r"fetch_(.*)": ("memory: reads of the program", STREAMS),
    r"load_(.*)": ("memory: reads of data", STREAMS),
    r"store_(.*)": ("memory: writes", STREAMS),
    r"register_(.*)": ("registers", REGISTER),
}  # fmt: skip
"""By what the names of their ports look like: name of the group, and meanings."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One port of the top module."""

    name: str
    direction: str
    width: int
    group: str
    meaning: str


def ports(config: Config, bus: str = "axi4") -> list[Port]:
    """Return the ports of the top module, clock, reset and interrupt first."""
    # Not from a Systolith, since Amaranth warns of one that is made and not elaborated.
    members = {"clk": In(1), "rst": In(1), "irq": Out(1), **bus_kind(bus).ports(config)}
    table = []
    for name, member in members.items():
        group, meaning = _describe(name)
        table.append(Port(
            name=name, direction="input" if member.flow is In else "output",
            width=Shape.cast(member.shape).width, group=group, meaning=meaning,
        ))  # fmt: skip
    return table


def _describe(name: str) -> tuple[str, str]:
    """Return group and meaning of a port."""
    for pattern, (group, meanings) in GROUPS.items():
        found = re.fullmatch(pattern, name)
        if found and found[1] in meanings:
            return group, meanings[found[1]]
    raise AssertionError(f"port {name} has no meaning yet: give it one here")


def ports_markdown(config: Config, bus: str = "axi4") -> str:
    """Return the port table for documents, a part for each group."""
    lines: list[str] = []
    group = None
    for port in ports(config, bus):
        if port.group != group:
            group = port.group
            lines += ["", f"## {group[0].upper()}{group[1:]}", "",
                      "| port | direction | width | meaning |", "|---|---|---|---|"]  # fmt: skip
        meaning = port.meaning.replace("|", r"\|")  # else it would end the cell
        lines.append(f"| `{port.name}` | {port.direction} | {port.width} | {meaning} |")
    return "\n".join(["# Ports", *lines]) + "\n"
