"""The whole core on each bus: products equal the machine's, pages of 4096 bytes, and refusals."""

import numpy as np
import pytest

from jobs import Job, Region, Run
from systolith.bench import ORDER, image, predict
from systolith.compiler.matmul import plan_matmul
from systolith.product import Product
from systolith.program import Program
from systolith_hw.config import Config
from systolith_hw.emit import emit
from systolith_hw.isa import ErrorCode, LoadKind, StoreKind, Unit
from systolith_hw.presets import preset
from test_top import PAUSES, run_job

CLASSIC = """
// A memory with registered feedback, that is not pipelined, needs this of the core.
module board (
  input clk, input rst, output irq,
  output m_wb_cyc, output m_wb_stb, output m_wb_we, output [{adr}:0] m_wb_adr,
  output [{sel}:0] m_wb_sel, output [{dat}:0] m_wb_dat_w, output [2:0] m_wb_cti,
  output [1:0] m_wb_bte, input m_wb_ack, input m_wb_err, input [{dat}:0] m_wb_dat_r,
  input s_wb_cyc, input s_wb_stb, input s_wb_we, input [9:0] s_wb_adr, input [3:0] s_wb_sel,
  input [31:0] s_wb_dat_w, output s_wb_ack, output s_wb_err, output [31:0] s_wb_dat_r
);
  systolith core (
    .clk(clk), .rst(rst), .irq(irq),
    .m_wb_cyc(m_wb_cyc), .m_wb_stb(m_wb_stb), .m_wb_we(m_wb_we), .m_wb_adr(m_wb_adr),
    .m_wb_sel(m_wb_sel), .m_wb_dat_w(m_wb_dat_w), .m_wb_cti(m_wb_cti), .m_wb_bte(m_wb_bte),
    .m_wb_stall(m_wb_cyc & ~(m_wb_ack | m_wb_err)),
    .m_wb_ack(m_wb_ack), .m_wb_err(m_wb_err), .m_wb_dat_r(m_wb_dat_r),
    .s_wb_cyc(s_wb_cyc), .s_wb_stb(s_wb_stb), .s_wb_we(s_wb_we), .s_wb_adr(s_wb_adr),
    .s_wb_sel(s_wb_sel), .s_wb_dat_w(s_wb_dat_w), .s_wb_ack(s_wb_ack), .s_wb_err(s_wb_err),
    .s_wb_dat_r(s_wb_dat_r)
  );
endmodule
"""

BUSES = ("axi4", "wishbone", "classic", "native")

# Icarus needs no compiler, so it gates, with the longest pauses; Verilator has all of them.
GATE = {name: ["icarus"] for name in BUSES}

CONFIG = preset("tiny")


def verilog(config: Config, name: str) -> tuple[str, str, str]:
    """Return Verilog, its top module, and the bus of the bench."""
    if name != "classic":
        return emit(config, bus=name).verilog, "systolith", name
    port = config.bus.data_bytes
    board = CLASSIC.format(adr=config.bus.address_bits - port.bit_length(), sel=port - 1,
                           dat=8 * port - 1)  # fmt: skip
    return emit(config, bus="wishbone").verilog + board, "board", "wishbone"


def product_runs(rng) -> list[Run]:
    """Return a product with streamed operands, and what the machine leaves of it."""
    plan = plan_matmul(CONFIG, 3, 21, 7, operands="stream")
    product = Product.quantize(
        CONFIG, rng.normal(size=(3, 21)), rng.normal(size=(21, 7)), rng.normal(size=7)
    )
    programs = [plan.regions[name].address for name in ORDER if name in plan.programs]
    runs = [Run(program=address) for address in programs]
    runs[0].before = [Region(0, image(plan, product))]
    output = plan.regions["output"]
    runs[-1].after = [Region(output.address, predict(plan, product)[output.address : output.end])]
    return runs


def copy_program(source: int, target: int, words: int) -> bytes:
    """Return a program that copies wide words, with runs that cross pages of 4096 bytes."""
    program = Program(CONFIG)
    program.load(LoadKind.WIDE, address=source, elements=words, post_outer=0)
    program.store(StoreKind.WIDE, address=target, elements=words, wait_outer=0)
    program.end()
    return program.assemble()


def bus_runs(rng) -> list[Run]:
    """Return copies across pages, to and from memory that refuses, and the first one again."""
    words, source, target, program = 100, 0x5FA2, 0x6F0C, 0x4000
    data = rng.integers(0, 256, 4 * words, dtype=np.uint8)
    before = [Region(program, copy_program(source, target, words)), Region(source, data)]
    blank = Region(target, np.zeros(4 * words, np.uint8))
    whole = Run(program=program, before=[*before, blank], after=[Region(target, data)])
    bad = (
        (range(source + 300, source + 302), Unit.LOAD, ErrorCode.BUS_READ),
        (range(target + 64, target + 66), Unit.STORE, ErrorCode.BUS_WRITE),
        (range(program, program + 2), Unit.SEQUENCER, ErrorCode.BUS_READ),
    )
    refused = [
        Run(program=program, before=[*before, blank], refused=place, error=unit << 8 | code)
        for place, unit, code in bad
    ]
    return [whole, *refused, whole]


@pytest.mark.parametrize("bus", BUSES)
def test_bus(bus, sim, seed):
    """Products are the machine's to the bit; errors have names, and a reset brings all back."""
    rng = np.random.default_rng(seed)
    text, top, kind = verilog(CONFIG, bus)
    pauses = PAUSES if sim == "verilator" else PAUSES[-1:]
    job = Job(program_address=0, memory=[], cycles=20_000, runs=product_runs(rng) + bus_runs(rng))
    run_job(text, CONFIG, job, top=top, tag=bus, sim=sim, seed=seed, bus=kind,
            reorders=bus == "axi4", pauses=pauses)  # fmt: skip
