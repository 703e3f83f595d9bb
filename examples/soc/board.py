"""The system for the ULX3S-85F: a bitstream that tells a story on the board's serial line.

    python examples/soc/board.py [--cpu sentinel] [--only synthesis] [--json]

Everything is in block RAM from the start: the CPU's program, and in main memory stories-260k with
weights of 4 bits. The clock is the board's oscillator.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from story_work import story_work
from system import Settings, Soc, memory_bus
from systolith.language_run import LanguageRun
from systolith.models.errors import FetchError
from systolith.models.library import load_language_model
from systolith.progress import Progress
from systolith_fpga.bitstream import OUTPUTS, make_bitstream
from systolith_fpga.netlist import count_cells
from systolith_fpga.soc.cpu import CPUS, cpu_named
from systolith_fpga.soc.main_memory import MainMemory
from systolith_fpga.soc.wishbone import flat, join
from systolith_fpga.tools import run_tool
from systolith_hw.config import Config, ConfigError
from systolith_hw.presets import preset
from systolith_sim.verilator import ToolError
from work import Work

__all__ = ["CORE", "Board", "Ulx3s", "build", "settings_for", "story"]

CLOCK = 25_000_000
BAUD = 115_200
LOCAL_BYTES = 1 << 14
PROMPT = "Once upon a time"

CORE = preset("small").replace({
    "array.columns": 4, "vector.lanes": 2, "vector.distributed": True, "bus.codecs": True,
    "bus.address_bits": 24, "memory.operand_tiles": 512, "memory.activation_words": 256,
    "memory.activation_distributed": True, "memory.results_distributed": True,
    "memory.wide_words": 256, "memory.scale_words": 512, "memory.bias_words": 16,
    "memory.program_instructions": 128, "control.stall_counters": False, "device": "ecp5-85k",
})  # fmt: skip
"""`small` with as few block memories as the model needs, which has most of the chip's itself."""


class Board(wiring.Component):
    """The system and its main memory, both with contents.

    Parameters
    ----------
    config : Config
    settings : Settings
        With what the CPU's memory holds.
    memory : bytes
        What main memory holds.
    target : str
        Whose cells the core may use.

    Members
    -------
    tx : Out(1)
    rx : In(1)
        The serial line.
    """

    tx: Signal
    rx: Signal

    def __init__(
        self, config: Config, settings: Settings, memory: bytes, target: str = "generic"
    ) -> None:
        self.config, self.settings, self.memory, self.target = config, settings, memory, target
        super().__init__({"tx": Out(1), "rx": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus = memory_bus(self.config)
        m.submodules.soc = soc = Soc(self.config, self.settings, target=self.target)
        m.submodules.memory = memory = MainMemory(
            len(self.memory), bus.address_bits, bus.data_bytes, self.memory
        )
        join(m, flat(soc, "memory_", bus), memory.bus)
        m.d.comb += [self.tx.eq(soc.tx), soc.rx.eq(self.rx)]
        return m


class Ulx3s(Elaboratable):
    """A board on the pins of the ULX3S: the USB port's serial line, and the oscillator's clock.

    There is no reset but that of configuration, after which registers hold their first values.
    """

    def __init__(self, board: Board) -> None:
        self.board = board

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.board = self.board
        line = platform.request("uart", 0, dir={"rts": "-", "dtr": "-"})
        m.d.comb += [line.tx.o.eq(self.board.tx), self.board.rx.eq(line.rx.i)]
        text = cpu_named(self.board.settings.cpu).verilog()
        if text:
            platform.add_file("cpu.v", text)
        return m


def story(config: Config, prompt: str, tokens: int, progress: Progress | None = None) -> Work:
    """Return the work of going on with a prompt, all of its image in main memory already.

    Raises
    ------
    ConfigError
        If so many tokens do not fit the core.
    """
    model = load_language_model("stories-260k", progress)
    numbers = model.prompt(prompt)
    run = LanguageRun(model, config, progress or Progress(), weights="int4",
                      context=len(numbers) + tokens, streamed=True)  # fmt: skip
    run.require_room(numbers)
    return story_work(run.decoder, numbers, tokens, name=model.name, tokenizer=model.tokenizer,
                      largest=0)  # fmt: skip


def settings_for(work: Work, cpu: str, divisor: int = round(CLOCK / BAUD)) -> Settings:
    """Return a system whose CPU has the program and the job from the start."""
    bare = Settings(cpu=cpu, divisor=divisor, local_bytes=LOCAL_BYTES)
    return Settings(cpu=cpu, divisor=divisor, local_bytes=LOCAL_BYTES, local=work.local(bare))


def write_design(files: Mapping[str, Any], folder: Path) -> None:
    """Write the files of a build."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def build(work: Work, cpu: str, folder: Path, *, place: bool = True, seed: int = 1,
          progress: Progress | None = None) -> dict[str, Any]:  # fmt: skip
    """Write everything to ``folder``, run the tools, and return what the chip has to give.

    Raises
    ------
    ToolError
        If a tool fails, or the clock is less than the board's oscillator gives.
    """
    tell = progress or Progress()
    settings = settings_for(work, cpu)
    board = Board(work.config, settings, work.image(), target="ecp5")
    write_design(ULX3S_85F_Platform().build(Ulx3s(board), do_build=False).files, folder)
    tell("synthesis")
    run_tool("yosys", ["-q", "-L", "yosys.log", "top.ys"], folder=folder, log="yosys.out",
             own_log="yosys.log")  # fmt: skip
    modules = json.loads((folder / "top.json").read_text())["modules"]
    cells = Counter(cell["type"] for cell in modules["top"]["cells"].values())
    result: dict[str, Any] = {
        "board": "ULX3S-85F", "cpu": cpu_named(cpu).title, "config_hash": f"{work.config.hash:08x}",
        "memory_bytes": len(board.memory), "local_bytes": settings.local_bytes,
        **count_cells(cells),
    }  # fmt: skip
    if not place:
        return result
    routed = make_bitstream([
        "--85k", "--package", "CABGA381", "--speed", "6", "--json", "top.json", "--lpf", "top.lpf",
        *OUTPUTS, "--seed", str(seed), "--timing-allow-fail",
    ], folder, tell)  # fmt: skip
    if not routed.timing_met:
        raise ToolError(f"the clock would be {routed.fmax_mhz:.2f} MHz, and the board's is "
                        f"{CLOCK / 1e6:.0f}; try another --seed")  # fmt: skip
    return result | {
        "fmax_mhz": routed.fmax_mhz, "clock_mhz": CLOCK / 1e6,
        "bitstream": str(routed.bitstream), "bitstream_bytes": routed.bitstream.stat().st_size,
        "sha256": routed.sha256,
    }  # fmt: skip


class Teller(Progress):
    """Says on standard error what is being done."""

    def __call__(self, stage: str) -> None:
        """Begin with the next stage."""
        print(stage, file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The system for the ULX3S-85F.")
    parser.add_argument("--cpu", default="sentinel", choices=sorted(CPUS))
    parser.add_argument("--prompt", default=PROMPT)
    parser.add_argument("--tokens", type=int, default=24, help="behind the prompt")
    parser.add_argument("--folder", type=Path, default=Path("build/soc-ulx3s"))
    parser.add_argument("--only", choices=["synthesis"])
    parser.add_argument("--seed", type=int, default=1, help="of place and route")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        made = build(story(CORE, options.prompt, options.tokens, Teller()), options.cpu,
                     options.folder, place=options.only is None, seed=options.seed,
                     progress=Teller())  # fmt: skip
    except (ConfigError, FetchError, ToolError) as error:
        sys.exit(str(error))
    print(json.dumps(made, indent=2) if options.json else
          "\n".join(f"{name}: {value}" for name, value in made.items()))  # fmt: skip
