"""Language models through the compiler: the programs of a lowering by hand, logits, text, files."""

import json
import re
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

import systolith
from systolith import language_program
from systolith.cli import app
from systolith.compiler.decoder_quantizer import quantize_decoder
from systolith.driver import DriverError
from systolith.graph import GraphError
from systolith.graph.executor import run
from systolith.graph.optimise import optimise
from systolith.image import ImageError
from systolith.language import CompiledDecoder
from systolith.progress import Progress
from systolith.report.graph_svg import graph_svg
from systolith.report.program import describe_program, listing_of, program_text
from systolith_hw.config import ConfigError
from systolith_hw.presets import preset
from systolith_sim.board.pseudo_terminal import PseudoTerminal
from unit.link_lines import device_board
from unit.machine_device import MachineDevice

from .graph_bench import encoder
from .llama_bench import LlamaBuilder, decoder_of, llama, llama_tensors, tensors_of
from .onnx_files import write_onnx
from .test_decoder_rewrites import LastToken
from .test_engine import CONFIG
from .test_engine import example as states
from .test_model_program import edited

ONCHIP = preset("small").replace({
    "memory.operand_tiles": 4096, "memory.activation_words": 1024, "memory.wide_words": 1024,
    "memory.scale_words": 2048, "memory.program_instructions": 256, "vector.rows": 8, "device": "",
})  # fmt: skip
SMALL_CHIP = preset("ulx3s").replace({"memory.operand_tiles": 128, "device": ""})
"""On which there is no room for the weights."""

WHOLE = ["Gather", "DecoderLayer", "DecoderLayer", "RMSNormalization", "Linear"]
TOKENS = 20
PROMPT = [3, 17, 29]


def example(seed=0, tokens=9):
    return np.random.default_rng(seed).integers(0, 40, (2, tokens))


@pytest.fixture(scope="module")
def graph():
    return llama(1)


@pytest.fixture(scope="module")
def program(graph, tmp_path_factory):
    """Return the graph's, by way of an ONNX file."""
    path = write_onnx(tmp_path_factory.mktemp("onnx") / "llama.onnx", graph)
    return systolith.compile(path, example(), config=ONCHIP, tokens=TOKENS, strict=True)


def test_logits_of_a_batch(program, graph):
    engine = systolith.InferenceEngine(program)
    ids = example(1, tokens=TOKENS - 1)
    logits = engine(ids)
    want = run(graph, {"ids": ids})[graph.outputs[0]]
    assert logits.shape == want.shape == (2, TOKENS - 1, 40)
    report = engine.report()
    (signal,) = report.signals
    assert signal.decibels > 25 and signal.cosine > 0.99
    assert report.runs == 2 and report.cycles is None
    layer, head, attention = 2 * 32 * (32 + 16) + 3 * 32 * 48, 32 * 40, 2 * 9 * 32
    assert report.parts.core_macs == 2 * 9 * (2 * (layer + attention) + head)
    assert report.parts.core_share == 1 and not report.parts.host
    assert "a language model of layers 2, from tokens to logits" in str(report)
    names = [layer.name.partition(" ")[0] for layer in report.accuracy.layers]
    assert names == ["layer", "layer", "logits"]
    assert all(25 < layer.decibels <= layer.own for layer in report.accuracy.layers)


def test_text_is_that_of_the_logits(program, graph):
    """Each token is the likeliest behind those before it."""
    engine = systolith.InferenceEngine(program)
    made = engine.generate(PROMPT, 8)
    assert (engine.report().runs, engine.report().signals) == (1, [])
    text = [*PROMPT, *made]
    likeliest = engine(np.array([text]))[0].argmax(axis=-1)
    assert made == likeliest[len(PROMPT) - 1 : -1].tolist() and len(set(made)) > 2
    assert engine.report().runs == 2


def test_logits_of_the_last_token():
    """The host picks them, and does no matrix."""
    graph, ids = llama(builder=LastToken), example()
    program = systolith.compile(graph, ids, config=ONCHIP, tokens=TOKENS, strict="matrices")
    engine = systolith.InferenceEngine(program)
    logits = engine(ids)
    assert logits.shape == (2, 40)
    assert [one.node.operator for one in program.parts.host] == ["Gather"]
    everything, last = engine.report().signals
    assert everything.decibels > 25 and last.decibels > 15
    assert engine.generate(ids[0], 1) == [logits[0].argmax()]


def assert_equal(got, want):
    """Compare parameters of models, or of layers."""
    for name, value in vars(want).items():
        if name == "layers":
            for one, other in zip(got.layers, value, strict=True):
                assert_equal(one, other)
        else:
            np.testing.assert_array_equal(getattr(got, name), value, err_msg=name, strict=True)


@pytest.mark.parametrize("streamed", [False, True])
def test_programs_are_those_of_a_lowering_by_hand(streamed, program, graph, tmp_path):
    """The same bytes for the same weights, as the reader of checkpoints has them, so that text and
    cycles are the same."""
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    from language_models import CONFIG as SETTINGS
    from language_models import llama_tensors, write_llama
    from systolith.models.llama import read_llama

    tensors = llama_tensors()
    model = read_llama(write_llama(tmp_path, max_position_embeddings=TOKENS), "llama").decoder
    graph = LlamaBuilder(tensors, SETTINGS["num_attention_heads"], 8).model()
    config = SMALL_CHIP if streamed else ONCHIP
    rounded = language_program.round_language(model, None, Progress(), streamed=streamed)
    integers = quantize_decoder(config, model, rounded, streamed=streamed)
    by_hand = CompiledDecoder.compile(config, integers, context=TOKENS, streamed=streamed)
    path = write_onnx(tmp_path / "llama.onnx", graph)
    program = systolith.compile(path, example(), config=config, tokens=TOKENS, strict=True)
    assert_equal(decoder_of(program.graph, TOKENS), model)
    assert program.language.streamed == streamed
    assert program.language.text.parts == by_hand.parts
    logits, text = (one.parts.values() for one in (program.language.logits, program.language.text))
    shared = {id(content) for content in logits} & {id(content) for content in text}
    assert len(shared) > 3, "what both programs have is in memory once"


def test_rounded_weights_of_large_models_are_kept(monkeypatch, tmp_path):
    """By the model and the texts; what was rounded before is not rounded again."""
    monkeypatch.setenv("SYSTOLITH_CACHE", str(tmp_path))
    monkeypatch.setattr(language_program, "LARGE", 0)
    one, other = (decoder_of(optimise(llama(seed, layers=1)), 8) for seed in range(2))
    documents = example().tolist()
    made = [language_program.round_language(one, texts, Progress(), streamed=True)
            for texts in (None, documents)]  # fmt: skip
    monkeypatch.setattr(language_program, "round_decoder", None)
    for texts, rounded in zip((None, documents), made, strict=True):
        again = language_program.round_language(one, texts, Progress(), streamed=True)
        np.testing.assert_array_equal(again.head.integers, rounded.head.integers)
        for matrix in (again.head, rounded.head, again.layers[0]["down"]):  # as small as they can
            assert matrix.integers.dtype == np.int8 and matrix.codes.dtype == np.int8
    for model, texts in ((other, None), (one, documents[:1])):
        with pytest.raises(TypeError, match="not callable"):
            language_program.round_language(model, texts, Progress(), streamed=True)
    for constant in ("LARGE_TEXTS", "LARGE_LONGEST", "LARGE_SWEEPS"):
        with monkeypatch.context() as patch, pytest.raises(TypeError, match="not callable"):
            patch.setattr(language_program, constant, getattr(language_program, constant) + 1)
            language_program.round_language(one, None, Progress(), streamed=True)


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_hardware_has_the_bits_of_the_machine(program, simulator):
    machine = systolith.InferenceEngine(program)
    with systolith.InferenceEngine(program, "rtl", simulator=simulator) as engine:
        assert engine.generate(PROMPT, 4) == machine.generate(PROMPT, 4)
        ids = example(3, tokens=4)[:1]
        np.testing.assert_array_equal(engine(ids), machine(ids))
        assert engine.report().runs == 2 and (engine.report().cycles or 0) > 10_000


def test_a_board_has_the_bits_of_the_machine(program, tmp_path):
    """The driver and the link's golden model between, on a pseudo-terminal."""
    machine = systolith.InferenceEngine(program)
    ids = example(3, tokens=4)[:1]
    with PseudoTerminal(device_board(MachineDevice(ONCHIP, 1 << 20))) as terminal:
        with systolith.InferenceEngine(program, terminal.name) as engine:
            assert engine.generate(PROMPT, 4) == machine.generate(PROMPT, 4)
            np.testing.assert_array_equal(engine(ids), machine(ids))
            assert (engine.report().device, engine.report().runs) == (terminal.name, 2)
            assert engine.clock_mhz == 50
        program.save(tmp_path / "llama.sysl")
        np.savez(tmp_path / "x.npz", **dict.fromkeys(program.graph.inputs, ids))
        result = CliRunner().invoke(app, [
            "run", str(tmp_path / "llama.sysl"), "--inputs", str(tmp_path / "x.npz"), "--device",
            terminal.name, "--json",
        ])  # fmt: skip
        assert result.exit_code == 0, result.output
        values = json.loads(result.stdout)
        assert values["bit_exact"] and values["clock_mhz"] == 50
    small = device_board(MachineDevice(ONCHIP, 1 << 12))
    with PseudoTerminal(small) as terminal:
        with pytest.raises(DriverError, match="at .* has 4,096 bytes of memory, and the program"):
            systolith.InferenceEngine(program, terminal.name).generate(PROMPT, 4)


def test_a_file_has_the_same_programs(program, tmp_path):
    program.save(tmp_path / "llama.sysl")
    again = systolith.load(tmp_path / "llama.sysl")
    assert again.language.text.parts == program.language.text.parts
    assert again.language.logits.parts == program.language.logits.parts
    assert describe_program(again) == describe_program(program)
    one, other = (systolith.InferenceEngine(each) for each in (program, again))
    np.testing.assert_array_equal(one(example(2)), other(example(2)))


def test_a_program_of_another_compiler_is_named(program, tmp_path, monkeypatch):
    program.save(tmp_path / "llama.sysl")
    monkeypatch.setattr(CompiledDecoder, "made_by", ("systolith.image",))
    with pytest.raises(ImageError, match=r"language/logits.image: the image is another version's"):
        systolith.load(tmp_path / "llama.sysl")


@pytest.mark.parametrize("change, words", [
    (lambda node: node["inputs"].pop(4), "has 9 inputs, not 10"),
    (lambda node: node["inputs"].__setitem__(3, node["inputs"][2]), "16 features of keys in value"),
    (lambda node: node["attributes"].update(key_heads=1), "an attribute key_heads of 1"),
    (lambda node: node["attributes"].pop("rotary_base"), "an attribute rotary_base of None"),
])  # fmt: skip
def test_layers_that_are_none(program, tmp_path, change, words):
    path = tmp_path / "llama.sysl"
    program.save(path)
    with zipfile.ZipFile(path) as archive:
        graph = json.loads(archive.read("manifest.json"))["graph"]
    change(next(node for node in graph["nodes"] if node["operator"] == "DecoderLayer"))
    edited(path, graph=graph)
    with pytest.raises(ImageError, match=f"manifest.json is damaged .*{words}"):
        systolith.load(path)


def test_what_is_in_a_program(program):
    text = program_text(program)
    assert "language model, program for logits: layers 2, a text has at most 20 tokens" in text
    assert "  embedding\n" in text and "on chip operand_tiles: " in text
    assert "core: language model of 2 layers" in graph_svg(program.parts)
    listing, facts = listing_of(program), describe_program(program)["language"]
    assert list(listing) == ["language model, logits", "language model, text"]
    lines = listing["language model, text"].splitlines()
    assert len(lines) == facts["text"]["instructions"] and not facts["streamed"]


class Windowed(LlamaBuilder):
    """Tokens see only eight before them, which shows in longer texts alone."""

    def cut(self, table, axes=(0,)):
        if len(axes) > 1:
            table = table + np.tril(np.full_like(table, -1e9), -8)
        return super().cut(table, axes)


@pytest.mark.parametrize("builder, config, tokens, words", [
    (LlamaBuilder, ONCHIP.replace({"vector.rows": 0}), 20, r"neither on the chip \(.*rows must"),
    (Windowed, ONCHIP, TOKENS, "in texts as long as the example tokens do not see all before them"),
])  # fmt: skip
def test_what_does_not_fit_stays_on_the_host(builder, config, tokens, words):
    """Nothing of it is on the core, every matrix says why, and results are right."""
    graph, ids = llama(builder=builder), example()
    program = systolith.compile(graph, ids, config=config, tokens=tokens)
    assert program.language is None and program.parts.core_share == 0
    matrices = [one for one in program.parts.host if one.macs]
    assert matrices and all(re.search(words, one.reason) for one in matrices)
    got, want = systolith.InferenceEngine(program)(ids), run(graph, {"ids": ids})
    np.testing.assert_allclose(got, want[graph.outputs[0]], atol=1e-4)
    with pytest.raises(GraphError, match=f"strict.*{words}"):
        program.parts.require_core(matrices_only=True)


def test_tokens_must_be_more_than_the_example_has():
    with pytest.raises(ConfigError, match="tokens must be more than 9, .* not 9; raise tokens"):
        systolith.compile(llama(), example(), config=ONCHIP, tokens=9)


def test_streamed_models_say_how_far_addresses_must_reach():
    """Before weights are rounded; with so many bits, and not with fewer, there is room."""
    graph = LlamaBuilder(llama_tensors(vocabulary=600), 4, 8).model()
    model = decoder_of(optimise(graph), 64)

    def core(bits):
        return SMALL_CHIP.replace({"bus.address_bits": bits, "memory.operand_tiles": 100})

    with pytest.raises(ConfigError, match=r"streamed \(bus.address_bits must be .*room") as error:
        language_program.must_stream(core(16), model, 64)
    bits = int(re.findall(r"must be at least (\d+), not 16", str(error.value))[0])
    assert language_program.must_stream(core(bits), model, 64)
    with pytest.raises(ConfigError, match=f"must be at least {bits}, not {bits - 1}"):
        language_program.must_stream(core(bits - 1), model, 64)


@pytest.mark.parametrize("first, calibration, words", [
    (example(), [], "calibration has no batches"),
    (example(), [example(), np.zeros((0, 5), np.int64)], r"tokens ids have the shape \(0, 5\) in"),
    (example(), [np.zeros((2, 0), np.int64)], r"tokens ids have the shape \(2, 0\) in the example"),
])  # fmt: skip
def test_no_texts_to_round_weights_with(graph, first, calibration, words):
    with pytest.raises((GraphError, ConfigError), match=words):
        systolith.compile(graph, first, config=ONCHIP, tokens=TOKENS, calibration=calibration)


@pytest.mark.parametrize("prompt, count, words", [
    (PROMPT, 18, "3 tokens and 18 behind them are too many: the program takes 20"),
    ([40], 1, "token 40 is not in the vocabulary, whose tokens are 0 to 39"),
    ([], 1, "a prompt must have at least 1 tokens, not 0"),
    ([[3, 17]], 1, r"a prompt is one row of token numbers, not int64\[1, 2\]"),
    (PROMPT, 2.5, "the tokens to generate must be a whole number, not 2.5"),
    ([0.5], 1, r"a prompt is one row of token numbers, not float64\[1\]"),
])  # fmt: skip
def test_texts_that_have_no_room(program, prompt, count, words):
    with pytest.raises(ConfigError, match=words):
        systolith.InferenceEngine(program).generate(prompt, count)


def test_an_encoder_generates_nothing():
    program = systolith.compile(encoder(layers=1), states(0), config=CONFIG)
    with pytest.raises(ConfigError, match="no language model on the core"):
        systolith.InferenceEngine(program).generate(PROMPT, 1)


@pytest.mark.slow
def test_stories_by_way_of_a_graph():
    """The model of stories as a graph becomes the program that its checkpoint becomes."""
    pytest.importorskip("safetensors")
    pytest.importorskip("tokenizers")
    from systolith.models.library import load_language_model
    from systolith.models.own_texts import own_texts
    from systolith.models.quantized_language import quantize_language

    model, config = load_language_model("stories-260k"), preset("ulx3s-resident")
    decoder = model.decoder
    builder = LlamaBuilder(tensors_of(decoder), decoder.heads, 16, base=1e4, turning="pairs")
    graph, texts = builder.model(len(decoder.layers)), np.array(own_texts(model))
    program = systolith.compile(
        graph, texts[:2, :24], config=config, tokens=128, strict=True, calibration=[texts]
    )
    by_hand = CompiledDecoder.compile(config, quantize_language(model, config), context=128)
    assert program.language.text.parts == by_hand.parts
    logits, text = (one.parts.values() for one in (program.language.logits, program.language.text))
    shared = {id(content) for content in logits} & {id(content) for content in text}
    assert len(shared) > 3, "what both programs have is in memory once"
    story = systolith.InferenceEngine(program).generate(model.prompt("Once upon a time"), 12)
    assert model.tokenizer.decode(story).startswith(", there was a")
