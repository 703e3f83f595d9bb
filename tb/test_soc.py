"""``examples/soc``: a CPU that runs the core, in Verilator; and its program on this computer."""

import ctypes
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import c_driver
import firmware
import layer_work
import run
import story_work
from c_driver import CODES
from system import Settings
from systolith.bench_layer import LayerCase
from systolith.language import CompiledDecoder
from systolith.model_image import ModelImage
from systolith.models.errors import FetchError
from systolith.progress import Progress
from systolith_fpga.firmware.compiler import PARTS
from systolith_fpga.firmware.staging import Staging, split
from systolith_fpga.soc.cpu import CPUS
from systolith_hw.presets import preset
from systolith_hw.registers import OFFSETS, Status, counter_offsets
from systolith_sim.verilator import ToolError
from test_decoders import CONFIGS
from unit.language_bench import golden_tokens, random_model
from unit.machine_device import MachineDevice
from work import Work

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "soc"

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.PyparsingDeprecationWarning")
"""Of Sentinel's assembler."""

CONFIG = CONFIGS["tiny"].replace({"bus.data_bytes": 2, "memory.operand_tiles": 1024})
"""So narrow that a word of the CPU's is two of memory's."""
PROMPT = [3, 1, 4, 1, 5]
COUNT = 6

needs_cpu = pytest.mark.skipif(
    importlib.util.find_spec("sentinel_cpu") is None,
    reason="sentinel-cpu is not installed: pip install 'systolith[soc]'",
)
needs_compiler = pytest.mark.skipif(bool(firmware.missing()), reason=firmware.missing() or "-")


@pytest.fixture(scope="module")
def model():
    sizes = {"dim": 24, "heads": 2, "kv_heads": 1, "hidden": 32, "vocab": 27}
    return random_model(CONFIG, seed=1, context=32, down_chunk=32, **sizes)


@pytest.fixture(scope="module")
def decoder(model):
    return CompiledDecoder.compile(CONFIG, model)


# -- on this computer -----------------------------------------------------------------------------


def host_library():
    """Return the CPU's program for this computer."""
    sources = [*(EXAMPLE / "firmware" / name for name in ("run.c", "layer.c")),
               *(PARTS / name for name in ("text.c", "story.c")),
               ROOT / "tb" / "c" / "soc_host.c"]  # fmt: skip
    return c_driver.host_library(
        "soc", sources, ROOT / "tb" / "c" / "soc_host.h", [PARTS / "soc.h"], [PARTS]
    )


class Host:
    """The program with the functional machine for a core."""

    UART, TIMER, CORE = 1, 2, 3

    def __init__(self, work):
        self.work = work
        self.memory = bytearray(work.memory_bytes)
        for address, content in work.memory.items():
            self.memory[address : address + len(content)] = content
        self.begin = bytes(self.memory)
        self.device = MachineDevice(work.config, work.job.core_bytes)
        self.text, self.time = "", 0
        self.core_writes = []
        self.bus_errors = []

    def read(self, part, offset):
        self.time += 1
        if part == self.UART:
            return 1
        if part == self.TIMER:
            return self.time
        if offset not in [*OFFSETS.values(), *counter_offsets(self.work.config).values()]:
            self.bus_errors.append(offset)
        return self.device.read_register(offset)

    def write(self, part, offset, value):
        if part == self.UART:
            self.text += chr(value)
            return
        assert part == self.CORE
        self.core_writes.append(offset)
        size = self.work.job.core_bytes
        self.device.write_memory(0, bytes(self.memory[:size]))
        self.device.write_register(offset, value)
        self.memory[:size] = self.device.read_memory(0, size)

    def run(self, job=None):
        library = host_library()
        read = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)(self.read)
        write = ctypes.CFUNCTYPE(None, *[ctypes.c_uint32] * 3)(self.write)
        for name, function in (("host_read", read), ("host_write", write)):
            ctypes.c_void_p.in_dll(library, name).value = ctypes.cast(
                function, ctypes.c_void_p
            ).value
        memory = (ctypes.c_uint8 * len(self.memory)).from_buffer(self.memory)
        code = CODES[library.host_run(memory, (job or self.work.job).to_bytes())]
        assert self.text.endswith("\4") and not self.bus_errors
        return code


def test_story_on_this_computer(model, decoder):
    host = Host(story_work.story_work(decoder, PROMPT, COUNT))
    assert host.run() == "OK"
    tokens = golden_tokens(model, PROMPT, COUNT)
    assert host.text.startswith(" ".join(map(str, tokens)) + f" \ntokens = {COUNT}\n")
    assert host.text.endswith("cycles of the core = 1000\ndone: ok\n\4")


def test_texts(decoder):
    """The CPU says words, also such of several bytes, or of none."""

    class Tokenizer:
        def decode(self, tokens):
            return "".join(["", " né", "x"][token % 3] for token in tokens)

    work = story_work.story_work(decoder, PROMPT, COUNT, tokenizer=Tokenizer())
    host = Host(work)
    assert host.run() == "OK"
    numbers = Host(story_work.story_work(decoder, PROMPT, COUNT))
    numbers.run()
    tokens = [int(word) for word in numbers.text.split("\n")[0].split()]
    expected = Tokenizer().decode(tokens)
    assert host.text.split("\n")[0].encode("latin-1").decode() == expected


def test_refusals(decoder):
    """What is wrong is said in the driver's words, and nothing reaches the core."""
    good = story_work.story_work(decoder, PROMPT, COUNT)
    (address, size), *_ = good.job.images

    def changed(**fields):
        return dataclasses.replace(good, job=dataclasses.replace(good.job, **fields))

    for work, code, says in (
        (changed(images=[(address, 0)]), "EMPTY", "load: length of zero"),
        (changed(images=[]), "RANGE", "load: out of range"),
        (changed(images=[(address, size - 1)]), "DAMAGED", "load: damaged image"),
        (changed(core_bytes=4096), "RANGE", "load: out of range"),
        (changed(core_bytes=0), "EMPTY", "open: length of zero"),
        (changed(kind=3), "RANGE", "no such job"),
    ):  # fmt: skip
        host = Host(work) if work.job.core_bytes else Host(good)
        assert host.run(work.job) == code
        assert host.text.startswith(says)
        assert f"\nfailed: {says.partition(': ')[2] or 'out of range'}\n" in host.text
        assert bytes(host.memory) == host.begin and not host.core_writes


def test_image_for_another_core(decoder):
    host = Host(story_work.story_work(decoder, PROMPT, COUNT))
    host.device.registers[OFFSETS["CONFIG_HASH"]] ^= 1
    assert host.run() == "CONFIG"
    assert host.text == (
        "load: image for another configuration\nfailed: image for another configuration\n\4"
    )
    assert bytes(host.memory) == host.begin and not host.core_writes


@pytest.mark.parametrize("change, code, says", [
    ({"prompt": ()}, "EMPTY", "prompt: length of zero"),
    ({"make": 0}, "EMPTY", "prompt: length of zero"),
    ({"prompt": (27,)}, "RANGE", "prompt: out of range"),
    ({"make": 99}, "RANGE", "prompt: out of range"),
])  # fmt: skip
def test_prompts_that_are_none(decoder, change, code, says):
    good = story_work.story_work(decoder, PROMPT, COUNT)
    host = Host(good)
    assert host.run(dataclasses.replace(good.job, **change)) == code
    assert host.text.startswith(says)


def test_a_core_that_never_ends(decoder, monkeypatch):
    """The CPU gives up after as many looks as it was told."""
    good = story_work.story_work(decoder, PROMPT, COUNT)
    host = Host(good)
    monkeypatch.setattr(
        host.device, "_run",
        lambda: host.device.registers.update({OFFSETS["STATUS"]: Status.RUNNING}),
    )  # fmt: skip
    assert host.run(dataclasses.replace(good.job, polls=9)) == "TIMEOUT"
    assert host.text.startswith("setup: timeout")


def test_jobs_that_are_too_large(decoder):
    good = story_work.story_work(decoder, PROMPT, COUNT).job
    with pytest.raises(ValueError, match="images must be at most 4, not 5"):
        dataclasses.replace(good, images=[(0, 1)] * 5).to_bytes()
    with pytest.raises(ValueError, match="a prompt has at most 64 tokens, not 65"):
        dataclasses.replace(good, prompt=[1] * 65).to_bytes()
    assert len(good.to_bytes()) <= firmware.JOB_BYTES


# -- for the CPU ----------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("cpu", CPUS)
def test_firmware_builds(cpu, tmp_path, monkeypatch):
    """Without a warning, and without anything that is not there."""
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path))
    program = firmware.build(CPUS[cpu], 1 << 15)
    assert 4000 < len(program) < 1 << 14
    assert len(firmware.build(CPUS[cpu], 1 << 14)) == len(program)  # as on the board
    with pytest.raises(ToolError, match="the program leaves too little of the memory to the stack"):
        firmware.build(CPUS[cpu], 1 << 13)


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match="Debian's package gcc-riscv64-unknown-elf"):
        firmware.build(CPUS["sentinel"], 1 << 15)


@needs_cpu
@needs_compiler
def test_story_on_the_system(model, decoder, seed):
    """The CPU makes tokens, through memory that lets everybody wait."""
    tokens = golden_tokens(model, PROMPT, COUNT)
    work = story_work.story_work(decoder, PROMPT, COUNT, largest=1000)
    settings = Settings(divisor=4)
    simulation = work.simulation(settings, latency=5, pauses=0.3, seed=seed)
    said = simulation.run(1_000_000)
    assert said.startswith(" ".join(map(str, tokens)) + f" \ntokens = {COUNT}\n")
    assert said.endswith("done: ok\n")


@needs_cpu
@needs_compiler
@pytest.mark.parametrize("program, says", [("setup", "done: ok"), ("none", "wait: stopped by")])
def test_the_core_wakes_the_cpu(decoder, program, says, seed):
    """By its interrupt, and once: whether a program ends, or is none."""
    address = decoder.setup
    parts = dict(decoder.parts) if program == "setup" else {address: bytes(32)}
    image = ModelImage({}, parts, CONFIG.hash, {"program": address, "size": decoder.size})
    small, large = split(image, 1000)
    staging = Staging(decoder.size)
    job = firmware.Job(
        kind=firmware.Job.LAYER, core_bytes=staging.core_bytes, images=staging.images([small]),
        length=1, polls=100,
    )  # fmt: skip
    work = Work(config=CONFIG, memory={**large, **staging.parts}, memory_bytes=staging.end, job=job)
    said = work.simulation(Settings(divisor=4), latency=5, pauses=0.3, seed=seed).run(1_000_000)
    assert says in said and ("interrupts = 1\n" in said) == (program == "setup")


@needs_cpu
@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_stories(cpu):
    """A real model: the story is the machine's, with all of the image copied by the faster CPU."""
    found = run.story(Settings(cpu=cpu), tokens=24, whole=cpu == "vexriscv", quiet=True)
    assert found["equals_machine"]
    assert found["story"].startswith(", there was a silly boy named")


@needs_cpu
@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("tokens, port_bytes", [(16, 2), (16, 8), (128, 2)])
def test_layer(tokens, port_bytes, cpu):
    """Bit for bit, near the roofline, and faster than the CPU by more than was asked for."""
    config = preset("ulx3s").with_port(port_bytes)
    found = run.layer(config, Settings(cpu=cpu), tokens)
    assert found["bit_exact"] and found["cosine"] > 0.999
    assert found["roofline_utilization"] >= 0.9
    # A CPU whose data come from a cache takes a ninth of Sentinel's time for its loop.
    least = 1000 if cpu == "sentinel" or tokens == 128 else 300
    assert found["times_faster"] >= least
    assert found["loop"]["fraction_of_layer"] > 0
    assert found["interrupts"] == 1


def test_layer_work_on_this_computer():
    """The machine runs the same images, one after the other; the C loop's sums are right, and only
    counters that the core has are read."""
    config = preset("ulx3s").replace({"control.stall_counters": False})
    try:
        minilm = run.MiniLM.fetch()
    except FetchError as error:
        pytest.skip(str(error))
    case = LayerCase.prepare(minilm, config, 3)
    prepared = layer_work.layer_work(case)
    host = Host(prepared.work)
    assert host.run() == "OK"
    memory = np.frombuffer(host.memory, np.uint8)
    ran = prepared.read(memory, host.text.rstrip("\4"), 1.0)
    assert ran.outcome.counters.keys() == counter_offsets(config).keys()
    assert case.measure(ran.outcome, case.work.predict(Progress())).bit_exact
