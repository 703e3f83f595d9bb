"""An example of a module around the core: all of its ports, and the reset that it wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .description import CoreDescription

if TYPE_CHECKING:  # ports are of the hardware, which commands import when they need it
    from systolith_hw.ports import Port

__all__ = ["WRAPPER", "additions", "verilog_wrapper"]

WRAPPER = "systolith_wrapper"

RESET = """\
  // Reset: at once when resetn falls, and 16 cycles longer than it, in step with the clock.
  reg [4:0] waited;
  reg [1:0] settled;
  always @(posedge clk or negedge resetn)
    if (!resetn) settled <= 2'b00;
    else settled <= {settled[0], 1'b1};
  always @(posedge clk or negedge resetn)
    if (!resetn) waited <= 5'd0;
    else if (settled[1] & ~waited[4]) waited <= waited + 5'd1;
  wire rst = ~waited[4];
"""

STALL = """\
  // A memory that is not pipelined answers a strobe before it gets the next one.
  wire stall = PIPELINED != 0 ? m_wb_stall : m_wb_cyc & ~(m_wb_ack | m_wb_err);
"""


def verilog_wrapper(core: CoreDescription) -> str:
    """Return ``systolith_wrapper.v``."""
    wishbone = core.bus == "wishbone"
    outside = [port for port in core.ports if port.name not in ("clk", "rst")]
    declared = ["  input clk,", "  input resetn,  // asynchronous, active low"]
    group = None
    for port in outside:
        if port.group != group:
            group = port.group
            declared += [f"  // {group}"]
        comma = "" if port is outside[-1] else ","
        declared.append(f"  {_declaration(port)}{comma}")
    connected = [
        f"    .{port.name}({'stall' if port.name == 'm_wb_stall' else port.name})"
        for port in core.ports
    ]
    parameter = " #(\n  parameter PIPELINED = 1  // whether memory drives m_wb_stall\n)"
    return "\n".join([
        f"// Systolith with its reset: bus {core.bus}, configuration {core.config.hash:08x}.",
        "// Take it as it is, or as an example of how the core is connected.",
        f"module {WRAPPER}{parameter if wishbone else ''} (",
        *declared,
        ");",
        RESET,
        *([STALL] if wishbone else []),
        "  systolith core (",
        ",\n".join(connected),
        "  );",
        "endmodule",
        "",
    ])  # fmt: skip


def additions(core: CoreDescription) -> list[tuple[str, str, str]]:
    """Return name, kind and meaning, in Markdown, of what only the wrapper has."""
    reset = ("`resetn`", "input, 1 bit", "asynchronous reset, active low, in place of `rst`")
    pipelined = (
        "1: memory drives `m_wb_stall`. 0: it is not pipelined; the wrapper makes the core's "
        "`m_wb_stall` of `m_wb_ack` and `m_wb_err`, and does not read its own"
    )
    if core.bus != "wishbone":
        return [reset]
    return [reset, ("`PIPELINED`", "parameter, 1 by default", pipelined)]


def _declaration(port: Port) -> str:
    bits = f"[{port.width - 1}:0] " if port.width > 1 else ""
    return f"{port.direction} {bits}{port.name}"
