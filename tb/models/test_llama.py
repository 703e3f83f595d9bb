"""Checkpoints of Llama's family: read right, or refused with the field or tensor that is wrong."""

import json

import numpy as np
import pytest

from systolith.models.errors import CheckpointError

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")

from language_models import llama_logits, llama_tensors, write_llama
from systolith.models.llama import read_llama
from systolith_sim.transformer.decoder_reference import KeyValueCache

TOKENS = [0, 5, 411, 7, 7, 90, 3]
QUERY = "model.layers.1.self_attn.q_proj.weight"


def test_logits_are_those_of_the_equations(tmp_path):
    model = read_llama(write_llama(tmp_path), "small")
    assert (model.name, model.begin, model.ends) == ("small", 0, (0, 3))
    assert (model.decoder.context, model.decoder.rotary_base) == (32, 5000.0)
    want = llama_logits(llama_tensors(), TOKENS)
    np.testing.assert_allclose(model.decoder.logits(TOKENS), want, atol=2e-5)
    cache = KeyValueCache(2)
    one_by_one = np.concatenate([model.decoder.logits([token], cache) for token in TOKENS])
    np.testing.assert_allclose(one_by_one, want, atol=2e-5)


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_types_of_numbers(tmp_path, kind):
    tensors = {name: value.astype(kind) for name, value in llama_tensors().items()}
    got = read_llama(write_llama(tmp_path, tensors), "small").decoder.logits(TOKENS)
    np.testing.assert_allclose(got, llama_logits(tensors, TOKENS), atol=2e-5)


def test_bfloat16(tmp_path):
    tensors, header, data = {}, {}, b""
    for name, value in llama_tensors().items():
        upper = value.view(np.uint32) >> 16
        tensors[name] = (upper << 16).view(np.float32)
        part = upper.astype("<u2").tobytes()
        place = [len(data), len(data) + len(part)]
        header[name] = {"dtype": "BF16", "shape": value.shape, "data_offsets": place}
        data += part
    text = json.dumps(header).encode()
    write_llama(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    got = read_llama(tmp_path, "small").decoder.logits(TOKENS)
    np.testing.assert_allclose(got, llama_logits(tensors, TOKENS), atol=2e-5)


def test_a_head_may_be_the_embedding(tmp_path):
    tensors = llama_tensors()
    del tensors["lm_head.weight"]
    decoder = read_llama(write_llama(tmp_path, tensors, tie_word_embeddings=True), "x").decoder
    assert decoder.head is decoder.embedding
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1
    with pytest.raises(CheckpointError, match="lm_head.weight is not model.embed_tokens.weight"):
        read_llama(write_llama(tmp_path, tensors, tie_word_embeddings=True), "x")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"model_type": "gpt2"}, 'model_type is "gpt2"; only "llama" can be run'),
        ({"hidden_act": "gelu"}, 'hidden_act is "gelu"; only "silu" can be run'),
        ({"attention_bias": True}, "attention_bias is true; only false can be run"),
        ({"mlp_bias": True}, "mlp_bias is true; only false can be run"),
        ({"sliding_window": 4096}, "sliding_window is 4096; only null can be run"),
        ({"architectures": ["GPT2LMHeadModel"]}, r'architectures is \["GPT2LMHeadModel"\]; only'),
        ({"qk_norm": True}, "qk_norm is true; only false can be run"),
        ({"rope_scaling": {"type": "linear", "factor": 2}}, "rope_scaling is {.*linear.*}; only"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters is {.*yarn.*}; only null"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is {.*4}; only null"),
        ({"hidden_size": 0}, "hidden_size is 0; it must be an integer of at least 1"),
        ({"num_hidden_layers": "2"}, 'num_hidden_layers is "2"; it must be an integer'),
        ({"vocab_size": None}, "config.json has no field vocab_size"),
        ({"rms_norm_eps": -1}, "rms_norm_eps is -1; it must be a number above 0"),
        ({"num_attention_heads": 7, "head_dim": None}, "hidden_size is 24, which must be a mult"),
        ({"num_key_value_heads": 2}, "3 heads of queries, which must be a multiple of its 2"),
        ({"head_dim": 7}, "heads have 7 features, which must be even"),
        ({"bos_token_id": 512}, "bos_token_id is 512; it must be a token, 0 to 511"),
        ({"eos_token_id": [0, "x"]}, 'eos_token_id is "x"; it must be a token, 0 to 511'),
    ],
)
def test_fields_that_cannot_be_run(tmp_path, changes, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        read_llama(write_llama(tmp_path, **changes), "small")


def test_the_default_rotary_positions_may_be_said(tmp_path):
    said = {"rope_type": "default", "rope_theta": 5000.0}
    folder = write_llama(tmp_path, rope_theta=None, rope_parameters=said, rope_scaling=None)
    assert read_llama(folder, "small").decoder.rotary_base == 5000.0


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda t: t.pop(QUERY), f"no tensor {QUERY}"),
        (lambda t: t.update({QUERY: t[QUERY][:-1].copy()}), r"has shape \(23, 24\), but must have"),
        (lambda t: t[QUERY].__setitem__((3, 4), np.nan), f"{QUERY} has values that are infinite"),
        (lambda t: t[QUERY].__setitem__((3, 4), np.inf), f"{QUERY} has values that are infinite"),
        (lambda t: t.update({QUERY: np.zeros((24, 24), np.int32)}), f"{QUERY} has .* type I32"),
        (lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": np.zeros(24)}),
         "has a tensor model.layers.0.self_attn.q_proj.bias, for which the model has no place"),
    ],
)  # fmt: skip
def test_tensors_that_cannot_be_run(tmp_path, change, sentence):
    tensors = llama_tensors()
    change(tensors)
    with pytest.raises(CheckpointError, match=sentence):
        read_llama(write_llama(tmp_path, tensors), "small")


def test_damaged_files(tmp_path):
    folder = write_llama(tmp_path)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for raw in (whole[:-1], whole[: len(whole) // 2], whole[:5], b"", b"garbage" * 100):
        weights.write_bytes(raw)
        with pytest.raises(CheckpointError, match="damaged, or no file of safetensors"):
            read_llama(folder, "small")
    weights.unlink()
    with pytest.raises(CheckpointError, match="there is no .*model.safetensors"):
        read_llama(folder, "small")
    weights.write_bytes(whole)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no tokenizer that can be read"):
        read_llama(folder, "small")
    for text, sentence in (("{", "is not JSON"), ("[]", "must be an object of fields, not list")):
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=sentence):
            read_llama(folder, "small")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match="there is no .*config.json"):
        read_llama(folder, "small")


def test_a_tokenizer_of_another_model(tmp_path):
    tensors = {name: value[:500].copy() if len(value) == 512 else value
               for name, value in llama_tensors().items()}  # fmt: skip
    folder = write_llama(tmp_path, tensors, vocab_size=500)
    with pytest.raises(CheckpointError, match="tokenizer has 512 tokens, but the model has 500"):
        read_llama(folder, "small")
