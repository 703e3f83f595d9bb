"""Cycles without a simulator: the same work as the machine's, in no less time than it needs.

How near they come to the hardware is held by tests on that, which call :mod:`.estimates`.
"""

import numpy as np
import pytest

from systolith.encoder import MachineEncoder
from systolith.estimate.encoder import EncoderSizes, estimate_encoders
from systolith.language import CompiledDecoder, MachineDecoder
from systolith.program import Program
from systolith.token_timing import streamed_token
from systolith_hw.config import ConfigError
from systolith_hw.isa import DrainKind, Register
from systolith_hw.presets import preset
from systolith_sim.device.host import DramTiming
from systolith_sim.timing import is_modelled, replay
from systolith_sim.timing.clock import Clock
from systolith_sim.timing.memory import Burst, Memory

from .encoder_bench import CONFIGS, random_model
from .language_bench import random_model as random_decoder

COUNTS = {"ARRAY_BUSY": "array_busy", "VECTOR_BUSY": "vector_busy", "ROW_BUSY": "row_busy",
          "LOAD_BEATS": "load_beats", "STORE_BEATS": "store_beats",
          "INSTRUCTIONS": "instructions"}  # fmt: skip
"""Names that machine and timing have for the same."""


def same_work(timing, counts):
    got = {name: getattr(timing, ours) for name, ours in COUNTS.items()}
    return got == {name: counts[name] for name in COUNTS}


@pytest.mark.parametrize("case", ["small", "crowded", "spilt", "streamed", "flat"])
def test_an_encoder_does_what_the_machine_counts(case):
    """Every plan there is: words, beats and instructions of all units."""
    from systolith.encoder import CompiledEncoder

    config = CONFIGS[case]
    encoder = CompiledEncoder.compile(
        config, random_model(config, layers=2), tokens=20, segments=2
    )
    sentences = [[*range(11)], [*range(6)]]
    counts = MachineEncoder(encoder).run(sentences).counts
    timing = replay(
        config, encoder.parts[encoder.program], parts=encoder.inputs(sentences),
        address=encoder.program, registers={Register.LENGTH: 17},
    )  # fmt: skip
    assert same_work(timing, counts)
    port = timing.load_beats + timing.store_beats + timing.fetch_beats
    assert timing.cycles > max(timing.array_busy, port)


def test_a_language_model_does_what_the_machine_counts():
    config = preset("ulx3s").replace({"device": ""})
    sizes = {"dim": 32, "heads": 2, "kv_heads": 1, "hidden": 64, "vocab": 40}
    model = random_decoder(config, "int8", "llama", True, context=40, **sizes)
    compiled = CompiledDecoder.compile(config, model, streamed=True)
    machine = MachineDecoder(compiled)
    text = [*range(1, 8)]
    machine.run(text[:-1], 1)
    machine.run(text, 1, 6)
    assert same_work(streamed_token(compiled, 6), machine.counters)


def test_weights_do_not_matter(seed):
    """An estimate from sizes alone is that of a model."""
    from systolith.encoder import CompiledEncoder

    config = CONFIGS["small"]
    model = random_model(config, layers=2, seed=seed)
    encoder = CompiledEncoder.compile(config, model, tokens=9)
    sizes = EncoderSizes(shape=encoder.plan.shape, lengths=[9])
    estimate = estimate_encoders(config, [sizes], 80.0)
    timing = replay(
        config, encoder.parts[encoder.program], parts=encoder.inputs([range(9)]),
        address=encoder.program, registers={Register.LENGTH: 9},
    )  # fmt: skip
    assert estimate.timing == timing
    assert estimate.macs == encoder.plan.shape.macs(9)
    assert estimate.memory_bytes == encoder.layout.map.size
    assert estimate.bottleneck == max(estimate.busy, key=estimate.busy.__getitem__) or (
        estimate.bottleneck == "hand-overs" and max(estimate.busy.values()) < 0.8
    )


@pytest.mark.parametrize("timing", [
    DramTiming(refresh_period=0), DramTiming(), DramTiming(refresh_period=50, row_beats=16),
])  # fmt: skip
def test_memory_moves_what_its_rows_and_refreshes_leave(timing):
    """A long stream of whole rows has the share that a DRAM's settings say."""
    clock, config = Clock(), preset("small")
    memory = Memory(clock, config, timing)
    clock.at(0, memory.run())
    ends = []
    for number in range(400):
        beats = 16
        address = number * beats * config.bus.data_bytes
        memory.read(Burst(address, beats, 1, lambda: ends.append(clock.now)))
    clock.run()
    assert len(ends) == 400 and ends == sorted(ends)
    assert 400 * 16 / (ends[-1] - timing.latency) == pytest.approx(timing.reachable, rel=0.02)


def test_a_program_that_waits_for_ever():
    config = preset("small")
    program = Program(config)
    program.drain(DrainKind.WIDE, tokens=1, token_stride=2)
    program.end()
    with pytest.raises(ConfigError, match="its units wait for one another"):
        replay(config, program.assemble(), parts={})


@pytest.mark.parametrize("name", ["tiny", "small", "ulx3s", "wide"])
def test_what_is_modelled(name):
    config = preset(name)
    assert is_modelled(config) == (name != "tiny")
    if name == "tiny":
        with pytest.raises(ConfigError, match="measure others with systolith bench"):
            replay(config, b"", parts={})


def test_faster_memory_and_clock(seed):
    """What the port limits is faster with a wider one, and only that."""
    shape = EncoderSizes(
        shape=random_shape(), lengths=[int(np.random.default_rng(seed).integers(2, 5))]
    )
    narrow, wide = (
        estimate_encoders(preset("ulx3s").replace({"bus.data_bytes": size}), [shape], 80.0)
        for size in (2, 16)
    )
    assert narrow.bottleneck == "port" and wide.cycles < 0.5 * narrow.cycles
    assert wide.timing.array_busy == narrow.timing.array_busy
    assert narrow.milliseconds == pytest.approx(narrow.cycles / 80e3)


def random_shape():
    from systolith.compiler.encoder_shape import EncoderShape

    return EncoderShape(features=64, heads=4, hidden=256, layers=1, vocabulary=9, positions=9)
