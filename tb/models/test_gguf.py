"""GGUF files: read right, or refused with the field or tensor that is wrong."""

import numpy as np
import pytest

from systolith.models.errors import CheckpointError, FetchError

pytest.importorskip("gguf")
pytest.importorskip("tokenizers")

import gguf
import tokenizers

from language_models import CONFIG, llama_logits, llama_tensors
from systolith.models.gguf_llama import read_gguf
from systolith.models.library import load_language_model
from systolith_sim.transformer.decoder_reference import KeyValueCache

PLACES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "model.layers": "blk", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "input_layernorm": "attn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
TOKENS = [0, 65, 97, 32, 300]


def write(path, tensors=None, *, eight_bits=False, **changes):
    """Write a file as llama.cpp's converter does: rows of q and k reordered to pairs."""
    fields = {
        "block_count": 2, "embedding_length": 24, "feed_forward_length": 40,
        "attention.head_count": 3, "attention.head_count_kv": 1, "vocab_size": 512,
        "context_length": 32,
    } | changes  # fmt: skip
    writer = gguf.GGUFWriter(path, fields.pop("architecture", "llama"))
    for name, value in fields.items():
        add = writer.add_string if isinstance(value, str) else writer.add_uint32
        add(f"llama.{name}", value)
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    rotary_base = CONFIG["rope_theta"]
    assert isinstance(rotary_base, float)
    writer.add_float32("llama.rope.freq_base", rotary_base)
    characters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = [*characters, "Ġa", "<|end|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(changes.get("pre", "smollm"))
    writer.add_token_list(words)
    writer.add_token_types([1] * (len(words) - 1) + [3])
    writer.add_token_merges(["Ġ a"])
    writer.add_bos_token_id(len(words) - 1)
    writer.add_eos_token_id(len(words) - 1)
    for name, tensor in (llama_tensors() if tensors is None else tensors).items():
        if ".q_proj" in name or ".k_proj" in name:
            tensor = tensor.reshape(-1, 2, 4, 24).swapaxes(1, 2).reshape(tensor.shape)
        for ours, theirs in PLACES.items():
            name = name.replace(ours, theirs)
        writer.add_tensor(name, np.ascontiguousarray(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_logits_are_those_of_the_equations(tmp_path):
    model = load_language_model(str(write(tmp_path / "small.gguf")))
    assert model.name == "small"
    want = llama_logits(llama_tensors(), TOKENS)
    np.testing.assert_allclose(model.decoder.logits(TOKENS), want, atol=2e-5)
    assert (model.begin, model.ends, model.decoder.context) == (257, (257,), 32)
    tokens = model.tokenizer.encode("at a2024é<|end|>")
    assert tokens[-1] == 257 and 256 in tokens
    assert model.tokenizer.decode(tokens) == "at a2024é"


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"architecture": "qwen2"}, 'general.architecture is "qwen2"; only "llama" can be run'),
        ({"expert_count": 8}, "llama.expert_count is 8; only 0 can be run"),
        ({"rope.scaling.type": "yarn"}, 'llama.rope.scaling.type is "yarn"; only "none"'),
        ({"rope.dimension_count": 4}, "llama.rope.dimension_count is 4; only 8 can be run"),
        ({"block_count": 3}, "the checkpoint has no tensor blk.2"),
        ({"block_count": 1}, "the checkpoint has a tensor blk.1.*for which the model has no place"),
        ({"pre": "llama-bpe"}, 'tokenizer.ggml.pre is "llama-bpe"; only "smollm" or "gpt-2"'),
    ],
)
def test_fields_that_cannot_be_run(tmp_path, changes, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        read_gguf(write(tmp_path / "small.gguf", **changes), "small")


def test_values_that_are_no_numbers(tmp_path):
    tensors = llama_tensors()
    tensors["model.norm.weight"][3] = np.nan
    with pytest.raises(CheckpointError, match="output_norm.weight has values that are infinite"):
        read_gguf(write(tmp_path / "small.gguf", tensors), "small")


def test_damaged_files(tmp_path):
    path = write(tmp_path / "small.gguf")
    whole = path.read_bytes()
    for raw in (whole[: len(whole) // 2], whole[:100], whole[:10], b"", b"garbage" * 100):
        path.write_bytes(raw)
        with pytest.raises(CheckpointError, match="damaged, or no GGUF file that can be read"):
            read_gguf(path, "small")


@pytest.mark.slow
def test_smollm2_knows_the_capital_of_france():
    try:
        model = load_language_model("smollm2")
    except FetchError as error:
        pytest.skip(str(error))
    assert (model.begin, model.ends, len(model.decoder.layers)) == (None, (2,), 30)
    cache, tokens, said = KeyValueCache(30), model.prompt("The capital of France is"), []
    for _ in range(2):
        said.append(int(model.decoder.logits(tokens, cache)[-1].argmax()))
        tokens = said[-1:]
    assert model.tokenizer.decode(said) == " Paris."
