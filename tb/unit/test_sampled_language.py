"""Tokens by chance, and logits in memory: the functional machine has those of the golden model."""

import numpy as np
import pytest

from systolith.device_language import DeviceDecoder
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.model_image import ModelImage
from systolith.program import Program
from systolith.sampling import Sampling
from systolith_hw.config import ConfigError
from systolith_hw.isa import DrainKind, ErrorCode, Opcode, encode
from systolith_hw.presets import preset
from systolith_sim.errors import MachineError, ProgramError
from systolith_sim.machine import Machine
from systolith_sim.vector.row import Factor

from .language_bench import golden_tokens, random_model
from .machine_device import MachineDevice

CONFIG = preset("small").replace({"vector.rows": 64, "vector.candidates": 16})
MODEL = random_model(CONFIG, layers=1, seed=1)
PLAIN = CompiledDecoder.compile(CONFIG, MODEL, context=32)
STORING = CompiledDecoder.compile(CONFIG, MODEL, context=32, logits=True)
PROMPT = [5, 4, 3]


def ways(temperature=1.5, top_k=16, seed=7):
    return Sampling(temperature=temperature, top_k=top_k, seed=seed)


def golden(sampling, count):
    return golden_tokens(MODEL, PROMPT, count, sampling=sampling)


@pytest.mark.parametrize("sampling", [ways(), ways(seed=2**32 - 1), ways(0.7, 5, 3)])
def test_one_seed_means_one_text(sampling):
    """In one run, or token by token."""
    wanted = golden(sampling, 12)
    assert MachineDecoder(PLAIN, sampling).run(PROMPT, 12) == wanted
    assert list(MachineDecoder(PLAIN, sampling).generate(PROMPT, 12)) == wanted
    assert list(DeviceDecoder(PLAIN, MachineDevice(CONFIG, 1 << 17), sampling).generate(
        PROMPT, 12)) == wanted  # fmt: skip


def test_seeds_and_temperatures_differ():
    texts = {tuple(golden(ways(seed=seed), 12)) for seed in range(8)}
    assert len(texts) == 8
    likeliest = golden_tokens(MODEL, PROMPT, 12)
    assert golden(ways(temperature=0.01), 12) == likeliest
    assert MachineDecoder(PLAIN).run(PROMPT, 12) == likeliest
    assert MachineDecoder(PLAIN, ways(top_k=1)).run(PROMPT, 12) == likeliest


def test_ends():
    wanted = golden(ways(), 12)
    end = wanted[4]
    decoder = CompiledDecoder.compile(CONFIG, MODEL, ends=(end,), context=32, logits=True)
    made = MachineDecoder(decoder, ways()).run(PROMPT, 12)
    assert made == wanted[: wanted.index(end) + 1]


@pytest.mark.parametrize("sampling", [Sampling(), ways()])
def test_logits(sampling):
    """Of the prompt and of what comes behind it, while tokens are chosen; vocabulary 40 in parts of
    48 hidden values, and of fewer."""
    wanted = golden(sampling, 6)
    machine = MachineDecoder(STORING, sampling)
    assert machine.run(PROMPT, 6) == wanted
    text = PROMPT + wanted[:-1]
    assert np.array_equal(machine.read_logits(8), MODEL.logits(text))
    assert np.array_equal(machine.logits(text), MODEL.logits(text))
    device = DeviceDecoder(STORING, MachineDevice(CONFIG, 1 << 17), sampling)
    assert device.run(PROMPT, 6) == wanted
    assert np.array_equal(device.read_logits(8), MODEL.logits(text))


@pytest.mark.parametrize("vocab, hidden", [(101, 24), (97, 16), (64, 40)])
def test_logits_in_parts(vocab, hidden):
    model = random_model(CONFIG, layers=1, vocab=vocab, hidden=hidden)
    machine = MachineDecoder(CompiledDecoder.compile(CONFIG, model, context=8, logits=True))
    tokens = [vocab - 1, 0, 17, 40]
    assert np.array_equal(machine.logits(tokens), model.logits(tokens))


def test_logits_of_a_core_without_sampler():
    config = CONFIG.replace({"vector.candidates": 0})
    model = random_model(config, layers=1)
    machine = MachineDecoder(CompiledDecoder.compile(config, model, context=16, logits=True))
    made = machine.run(PROMPT, 4)
    assert made == golden_tokens(model, PROMPT, 4)
    assert np.array_equal(machine.read_logits(6), model.logits(PROMPT + made[:-1]))


def test_images_keep_what_the_program_stores(tmp_path):
    path = tmp_path / "model.img"
    STORING.image("one").save(path)
    again = CompiledDecoder.from_image(ModelImage.load(path, CONFIG), CONFIG, "one")
    assert np.array_equal(MachineDecoder(again).logits(PROMPT), MODEL.logits(PROMPT))


KEEP = {"token_stride": 3, "columns_last": 8}


def test_what_only_the_machine_refuses():
    """Programs whose outcome depends on what another one left, or means nothing."""
    def run(build):
        program = Program(CONFIG)
        build(program)
        program.end()
        Machine(CONFIG, 1 << 16).run(program.assemble())

    def keep(program, **options):
        program.matmul(steps=1)
        program.drain(DrainKind.CANDIDATES, **KEEP, **options)

    with pytest.raises(ProgramError, match="goes on keeping values, but none in this program"):
        run(lambda program: keep(program, accumulate=True))
    with pytest.raises(ProgramError, match="nothing is kept that could be chosen"):
        run(lambda program: program.sample(destination=1, sharpness=Factor(1 << 15, 15)))
    with pytest.raises(ProgramError, match="sharpness must be zero or have bit 15 set, not be 0x7"):
        run(lambda program: (keep(program), program.sample(
            destination=1, sharpness=Factor(7, 0))))  # fmt: skip
    with pytest.raises(ValueError, match=r"token_stride must be in 1..16, .* CANDIDATES, not 17"):
        run(lambda program: program.drain(DrainKind.CANDIDATES, token_stride=17))
    bare = CONFIG.replace({"vector.candidates": 0})
    with pytest.raises(ValueError, match="no SAMPLE with a vector.candidates of 0"):
        Program(bare).sample(destination=1)
    with pytest.raises(ValueError, match="no DRAIN.CANDIDATES with a vector.candidates of 0"):
        Program(bare).drain(DrainKind.CANDIDATES, token_stride=1)
    program = encode(Opcode.SAMPLE) + encode(Opcode.END)
    with pytest.raises(MachineError, match="opcode 0x21 is illegal") as caught:
        Machine(bare, 1 << 16).run(program)
    assert caught.value.code == ErrorCode.ILLEGAL_INSTRUCTION


def test_refusals():
    bare = CONFIG.replace({"vector.candidates": 0})
    with pytest.raises(ConfigError, match=r"temperature must be 0 on this core, not 1.5: its .* 0"):
        ways().require(bare)
    with pytest.raises(ConfigError, match="top_k must be at most vector.candidates, 16, not 17"):
        MachineDecoder(PLAIN, ways(top_k=17))
    with pytest.raises(ConfigError, match="stores no logits; compile it with logits=True"):
        MachineDecoder(PLAIN).logits(PROMPT)
    with pytest.raises(ConfigError, match="token 40 is not in the vocabulary"):
        MachineDecoder(STORING).logits([40])
    Sampling(top_k=64).require(bare)
