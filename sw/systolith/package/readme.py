"""What a person reads who has the folder, and nothing else."""

from collections.abc import Iterable, Mapping, Sequence

from systolith_hw.config import FETCH_OUTSTANDING
from systolith_hw.registers import BitField

from .description import CoreDescription, named_values
from .verilog_wrapper import WRAPPER, additions

__all__ = ["readme"]

BUSES = {
    "axi4": """\
* `m_axi_*`, an AXI4 master, goes to memory: {bits} bits wide, {address} bits of byte address.
  Bursts are incrementing, of whole beats, at most {beats} of them, and stay inside 4096 bytes.
  Reads have two IDs, 0 for programs and 1 for data, and may be answered in any order between the
  two; writes have one. At most {outstanding} reads of data, {fetches} of programs, and
  {outstanding} writes are under way. Any xRESP but OKAY stops the program with BUS_READ or
  BUS_WRITE.
* `s_axil_*`, an AXI4-Lite slave, has the registers: 32 bits, 4096 bytes of addresses. SLVERR
  answers an address without a register or inside of one, and a write whose WSTRB is not all ones;
  such a write writes nothing.
""",
    "wishbone": """\
* `m_wb_*`, a Wishbone B4 master, goes to memory: {bits} bits wide. `m_wb_adr` counts words of the
  port, {address} bits of byte address less those inside a word. Strobes come in bursts of at most
  {beats} of consecutive addresses without a gap, inside 4096 bytes. CYC is given up after at most
  {turn} beats. An `err`, alone or beside `ack`, stops the program with BUS_READ or BUS_WRITE;
  connect `err | rty` if somebody has `rty`.
  - **A pipelined memory**, which has `stall`: connect it. Strobes go on while answers are missing,
    so its latency costs nothing within a burst.
  - **Any other memory**: connect `m_wb_stall = m_wb_cyc & ~(m_wb_ack | m_wb_err)`. Each strobe then
    stays until it is answered. One that understands `m_wb_cti` (2 within an incrementing burst, 7
    for its last beat, 0 alone) can answer in every cycle.
* `s_wb_*`, a classic Wishbone slave of 32 bits, has the registers. `s_wb_adr` counts words of 32
  bits. A pipelined master needs `stall = s_wb_cyc & ~(s_wb_ack | s_wb_err)`. `err` answers an
  address without a register, and a write that does not select all four bytes. A master may give
  up by taking STB or CYC back: what it asks next is answered when the registers are done with both.
""",
    "native": """\
* `fetch_*` and `load_*` read memory, `store_*` writes it: {bits} bits wide, {address} bits of byte
  address. A request is a burst of `last + 1` beats, at most {beats}, inside 4096 bytes; it is
  offered until it is taken. Reads are answered beat by beat in the order of the port's requests,
  with `data_last` on the last beat of each burst. Data of writes come in the order of the requests,
  a burst's not before its request has been taken; each burst gets one response, in order, which is
  always taken. An `error` stops the program with BUS_READ or BUS_WRITE. At most {fetches} bursts of
  fetch, and {outstanding} of each of the others, are under way.
* `register_*` has the registers, 32 bits each. Hold `register_address` from the strobe
  `register_read` or `register_write` (with `register_write_data`) until `register_valid`; then
  `register_read_data` has the value. `register_error` says at once that there is no register at the
  address: write nothing then. One access at a time.
""",
}

TEXT = """\
# Systolith, {bus}, {made_of}

A Transformer accelerator as one Verilog-2005 module, `systolith`, in `systolith.v`. Configuration
`{hash:08x}`: {rows} x {columns} multipliers. `systolith compile` makes models for this hash, which
do not depend on the bus: a zip file, MODEL.sysl, whose members `language/text.image` (makes tokens)
and `stacks/0.image` (an encoder's layers) are the model images that the driver loads; `unzip` takes
them out. Made by Systolith {version}, licence Apache-2.0.

## Files

{files}

## Clock and reset

* One clock, `clk`; every register uses its rising edge.
* `rst` is synchronous and active high. Keep it at one for at least 16 cycles after power-up, and at
  least 4 later. It resets all that decides anything but PROGRAM, WATCHDOG, LENGTH and POSITION,
  which stand in a memory: they keep their values, and are anything after power-up, so write all
  four before the first start. Memories and what only waits for a valid bit are not reset, either,
  and no program reads what was not written. Do not rely on initial values.
* `{wrapper}.v` has a circuit that makes `rst` of `resetn`, an asynchronous reset, active low, and
  keeps it at one for at least 16 cycles after `resetn` has become one.

## Ports

{ports}
* `irq` is a level: one while an interrupt that is enabled is pending. The driver's
  `systolith_wait_interrupt` sleeps until then.

`ports.md` lists every port of the core. `{wrapper}` has all of them but `rst`, and:

{additions}

## First steps

1. Connect memory and registers as above; {base}
2. Read register ID, byte offset 0: it is `0x544C5953`. CONFIG_HASH, offset 8, is `0x{hash:08X}`.
3. Build `c/systolith.c` with your firmware. It is C99 and takes no C library; without an operating
   system, compile it with `-ffreestanding`, so that `stdint.h` is the compiler's own. A CPU without
   instructions that multiply and divide (RV32I, for one) has them as functions of the compiler's
   library: link with `-lgcc`, behind the sources. For example:

```sh
riscv64-unknown-elf-gcc -std=c99 -march=rv32i -mabi=ilp32 -O2 -ffreestanding -nostdlib -Ic \\
    firmware.c c/systolith.c -lgcc -o firmware.elf
```

   with your start code and linker script. In `firmware.c`:

```c
#include "systolith.h"

struct systolith core;
enum systolith_code code = systolith_open(&core, (volatile uint32_t *)REGISTERS,
                                          (uint8_t *)MEMORY, MEMORY_BYTES);
if (!code) code = systolith_load(&core, image, image_bytes);   /* checked, then copied */
if (!code) code = systolith_setup(&core, 1000000);             /* what a model needs once */
if (!code) code = systolith_start(&core, length, position, 100000);
if (!code) code = systolith_wait(&core, 1000000);
if (code) puts(systolith_name(code));                          /* every failure has a name */
```

Without the driver:

1. Put the program into memory.
2. Write its byte address to PROGRAM (0x14), LENGTH (0x2C) and POSITION (0x30) as it wants them, and
   to WATCHDOG (0x28) the cycles without any progress after which it is to be stopped, 0 for never.
3. Write 1 to CONTROL (0x0C).
4. Read STATUS (0x10) until bit 1 (done) or 2 (error) is one and bit 0 (running) is zero.
5. ERROR (0x20) says what went wrong, by the tables below, and ERROR_PC (0x24) where: the number of
   the instruction. 4 to CONTROL resets the core.

{errors}

`registers.html` has the rest.

## Tools

{tools}
{litex}* IP-XACT 1685-2014: `systolith.xml`. SystemRDL 2.0: `registers.rdl`.
"""

GENERIC = """\
* FuseSoC: `fusesoc --cores-root . run --target lint {name}`
  (Verilator), `--target compile` (Icarus).
* Verilator's `-Wall` says nothing; six kinds of warnings are waived at the head of `systolith.v`,
  each with its reason."""

VENDOR = """\
* FuseSoC: core `{name}`, target `default`, for designs that depend on it.
* Simulating or linting takes the simulation library of the FPGA's vendor: with
  `--target {target}` the Verilog has cells that it does not define ({cells}).
  A package made with `--target generic` has none, and its `systolith.core` the targets `lint` and
  `compile`."""

LITEX = """\
* LiteX: `systolith_litex.py` beside `systolith.v` is a module; its first lines say how it is used.
"""

FILES = {
    "systolith.v": "the core",
    f"{WRAPPER}.v": "an example: the core, and its reset",
    "ports.md": "every port, its direction, width and meaning",
    "registers.html": "every register",
    "registers.rdl": "the same as SystemRDL 2.0",
    "systolith.core": "for FuseSoC",
    "systolith_litex.py": "for LiteX",
    "systolith.xml": "for tools that read IP-XACT",
    "LICENSE": "Apache-2.0, of all files",
    "manifest.json": "configuration, ports, registers and memories, for programs",
    "c/systolith.h": "the driver in C99",
    "c/systolith.c": "the driver in C99",
    "c/systolith_core.h": "the numbers of this core",
}


def readme(core: CoreDescription, files: Mapping[str, str], turn_beats: int) -> str:
    """Return ``README.md`` of a folder that has ``files``."""
    config, bus = core.config, core.config.bus
    error = next(register for register in core.registers() if register.name == "ERROR")
    tools = VENDOR if core.vendor_cells else GENERIC
    return TEXT.format(
        bus=core.bus, made_of=core.made_of, name=core.name, hash=config.hash, version=core.version,
        rows=config.array.rows, columns=config.array.columns, wrapper=WRAPPER,
        files=_table(("file", "what it is"), ((f"`{name}`", FILES[name]) for name in files)),
        ports=BUSES[core.bus].format(
            bits=8 * bus.data_bytes, address=bus.address_bits, beats=bus.burst_beats,
            outstanding=bus.outstanding, fetches=FETCH_OUTSTANDING,
            turn=turn_beats + bus.burst_beats - 1,
        ).rstrip(),
        base=f"the core's byte 0 of memory is wherever you map it, for the driver `MEMORY`; "
             f"it reaches {1 << bus.address_bits:#x} bytes.",
        additions=_table(("wrapper", "what it is", "meaning"), additions(core)),
        errors="\n\n".join(_values(field) for field in error.fields),
        tools=tools.format(name=core.name, target=core.target, cells=", ".join(core.vendor_cells)),
        litex=LITEX if "systolith_litex.py" in files else "",
    )  # fmt: skip


def _values(field: BitField) -> str:
    bits = f"ERROR {field.low + field.width - 1}:{field.low}"
    return _table((bits, field.name, "meaning"), named_values(field))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
