"""A package in a LiteX SoC: its interconnect, its memory, and a product that is the machine's."""

from pathlib import Path

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from harness import BUILD, run_verilog, settings_from_env
from jobs import Job, Region, Run
from systolith.bench import ORDER, image, predict
from systolith.compiler.matmul import plan_matmul
from systolith.package import package_files, write_package
from systolith.product import Product
from systolith_hw.presets import preset
from systolith_hw.registers import IDENTITY, OFFSETS, Control, Interrupt, Status

MEMORY, REGISTERS = 0x4000_0000, 0x3000_0000

# Bus, bytes of the port, bits of the SoC's bus. Where they differ, LiteX converts.
CASES = {
    "bursts": ("wishbone", 4, 32), "narrow": ("wishbone", 2, 32), "wide": ("wishbone", 8, 32),
    "axi4": ("axi4", 4, 32),
}  # fmt: skip

GATE = {"bursts": ["icarus"]}


class Host:
    """A host on the SoC's Wishbone."""

    def __init__(self, dut) -> None:
        from wishbone_sides import SIGNALS, WBOp, WishboneMaster

        self.operation = WBOp
        self.master = WishboneMaster(dut, "host", dut.clk, timeout=2000, signals_dict=SIGNALS)
        self.master.log.setLevel("WARNING")

    async def write(self, address: int, words) -> None:
        for index, word in enumerate(words):
            await self._access(self.operation(address // 4 + index, int(word)))

    async def read(self, address: int, count: int = 1) -> list[int]:
        return [
            int((await self._access(self.operation(address // 4 + index))).datrd)
            for index in range(count)
        ]

    async def _access(self, operation):
        (result,) = await self.master.send_cycle([operation])
        assert result.ack == 1, f"{4 * operation.adr:#x} is answered {result.ack}"
        return result


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def does_a_product(dut):
    """Bring a product's image to the SoC's memory, run its programs, and read the result."""
    job = Job.load(Path(settings_from_env()["job"]))
    Clock(dut.clk, 10, unit="ns").start()
    host = Host(dut)
    dut.rst.value = 1
    await ClockCycles(dut.clk, 20)
    dut.rst.value = 0
    assert await host.read(REGISTERS + OFFSETS["ID"]) == [IDENTITY]
    await host.write(REGISTERS + OFFSETS["IRQ_ENABLE"], [Interrupt.DONE | Interrupt.ERROR])
    for item in job.runs:
        for region in item.before:
            await host.write(MEMORY + region.address, region.data.view("<u4"))
        await host.write(REGISTERS + OFFSETS["PROGRAM"], [item.program])
        await host.write(REGISTERS + OFFSETS["CONTROL"], [Control.START])
        for _ in range(job.cycles):
            await RisingEdge(dut.clk)
            if dut.irq.value:
                break
        error = (await host.read(REGISTERS + OFFSETS["ERROR"]))[0]
        status = (await host.read(REGISTERS + OFFSETS["STATUS"]))[0]
        assert status == Status.DONE, f"status {status}, error {error:#x}"
        await host.write(REGISTERS + OFFSETS["IRQ_PENDING"], [Interrupt.DONE])
        for region in item.after:
            start, end = region.address // 4 * 4, -(-(region.address + len(region.data)) // 4) * 4
            words = await host.read(MEMORY + start, (end - start) // 4)
            found = np.array(words, "<u4").view(np.uint8)[region.address - start :]
            assert (found[: len(region.data)] == region.data).all()


@pytest.mark.parametrize("case", CASES)
def test_product_in_a_litex_soc(case, sim, seed, tmp_path):
    """LiteX's decoder, arbiter, width converter and burst memory do what the core expects."""
    pytest.importorskip("litex", reason="LiteX is not installed: pip install 'systolith[ip]'")
    from litex_soc import build_soc

    bus, port_bytes, width = CASES[case]
    if (bus, sim) == ("axi4", "icarus"):
        pytest.skip("Icarus 11 hangs in LiteX's AXI, whose combinational blocks assign with <=")
    config = preset("tiny").replace({"bus.data_bytes": port_bytes})
    package = tmp_path / "part"
    write_package(package_files(config, preset="tiny", bus=bus, target="generic"), package)
    soc = build_soc(package, width)
    rng = np.random.default_rng(seed)
    plan = plan_matmul(config, 3, 21, 7, operands="stream")
    product = Product.quantize(
        config, rng.normal(size=(3, 21)), rng.normal(size=(21, 7)), rng.normal(size=7)
    )
    runs = [Run(program=plan.regions[name].address) for name in ORDER if name in plan.programs]
    content = image(plan, product)
    runs[0].before = [Region(0, np.pad(content, (0, -len(content) % 4)))]
    output = plan.regions["output"]
    runs[-1].after = [Region(output.address, predict(plan, product)[output.address : output.end])]
    file = Job(program_address=0, memory=[], runs=runs).save(BUILD / f"job-litex-{case}-{sim}")
    run_verilog(
        (package / "systolith.v").read_text() + soc, config, top="board",
        test_module="test_litex", tag=case, sim=sim, seed=seed, settings={"job": str(file)},
    )  # fmt: skip
