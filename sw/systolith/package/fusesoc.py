"""The package as FuseSoC core, CAPI 2."""

from .description import CoreDescription
from .verilog_wrapper import WRAPPER

__all__ = ["fusesoc_core"]

TOOLS = """\
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
  compile:
    <<: *default
    default_tool: icarus
    tools:
      icarus:
        iverilog_options: [-g2005]
"""


def fusesoc_core(core: CoreDescription) -> str:
    """Return ``systolith.core``.

    Its targets ``lint`` and ``compile`` are there only if the Verilog is all there is to read: a
    vendor's cells are in that vendor's library.
    """
    return f"""\
CAPI=2:
name: systolith:ip:{core.name}:{core.version}
description: "Transformer accelerator, {core.made_of}, bus {core.bus}, \
configuration {core.config.hash:08x}"

filesets:
  rtl:
    files:
      - systolith.v
      - {WRAPPER}.v
    file_type: verilogSource-2005

targets:
  default: &default
    filesets: [rtl]
    toplevel: {WRAPPER}
{"" if core.vendor_cells else TOOLS}"""
