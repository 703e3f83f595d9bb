"""Small language models in the formats that readers know, and an answer from their equations."""

import json
from pathlib import Path

import numpy as np
import tokenizers
from safetensors.numpy import save_file

from systolith.models.library import STORIES
from systolith.models.text_tokenizer import TextTokenizer

__all__ = ["CONFIG", "bytewise_tokenizer", "llama_logits", "llama_tensors", "write_llama"]

CONFIG = {
    "model_type": "llama", "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 512,
    "max_position_embeddings": 32, "rms_norm_eps": 1e-5, "rope_theta": 5000.0,
    "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": [0, 3],
}  # fmt: skip
"""Of a model whose three heads share one of keys; its tokenizer is that of the stories."""


def llama_tensors(seed: int = 1) -> dict[str, np.ndarray]:
    """Return random tensors by Hugging Face's names."""
    rng = np.random.default_rng(seed)
    shapes = {"model.embed_tokens": (512, 24), "lm_head": (512, 24), "model.norm": (24,)}
    for number in range(2):
        layer = f"model.layers.{number}"
        shapes |= {
            f"{layer}.input_layernorm": (24,), f"{layer}.post_attention_layernorm": (24,),
            f"{layer}.self_attn.q_proj": (24, 24), f"{layer}.self_attn.k_proj": (8, 24),
            f"{layer}.self_attn.v_proj": (8, 24), f"{layer}.self_attn.o_proj": (24, 24),
            f"{layer}.mlp.gate_proj": (40, 24), f"{layer}.mlp.up_proj": (40, 24),
            f"{layer}.mlp.down_proj": (24, 40),
        }  # fmt: skip
    return {
        f"{name}.weight": (rng.standard_normal(shape) / 2).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_llama(
    folder: Path, tensors: dict[str, np.ndarray] | None = None, **changes: object
) -> Path:
    """Write a checkpoint; ``changes`` are fields of config.json, None those to leave out."""
    save_file(llama_tensors() if tensors is None else tensors, folder / "model.safetensors")
    fields = {name: value for name, value in (CONFIG | changes).items() if value is not None}
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "tokenizer.json").write_bytes((STORIES / "tokenizer.json").read_bytes())
    return folder


def llama_logits(tensors: dict[str, np.ndarray], tokens: list[int]) -> np.ndarray:
    """Return logits (S, 512) in float64, head by head, with rotary positions split in halves."""
    weights = {name.removesuffix(".weight"): value.astype(np.float64)
               for name, value in tensors.items()}  # fmt: skip

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * weights[name]

    def turn(x: np.ndarray) -> np.ndarray:
        angles = np.arange(len(x))[:, None] * 5000.0 ** (-np.arange(4) / 4)
        angles = np.concatenate([angles, angles], -1)
        return x * np.cos(angles) + np.concatenate([-x[:, 4:], x[:, :4]], -1) * np.sin(angles)

    def attend(x: np.ndarray, layer: str) -> np.ndarray:
        query, key, value = (x @ weights[f"{layer}.self_attn.{one}_proj"].T for one in "qkv")
        key, heads = turn(key), []
        for head in range(3):
            scores = turn(query[:, 8 * head : 8 * head + 8]) @ key.T / np.sqrt(8)
            scores[np.triu_indices(len(x), 1)] = -np.inf
            powers = np.exp(scores)
            heads.append(powers / powers.sum(-1, keepdims=True) @ value)
        return np.concatenate(heads, -1) @ weights[f"{layer}.self_attn.o_proj"].T

    x = weights["model.embed_tokens"][tokens]
    for number in range(2):
        layer = f"model.layers.{number}"
        x = x + attend(norm(x, f"{layer}.input_layernorm"), layer)
        y = norm(x, f"{layer}.post_attention_layernorm")
        gate = y @ weights[f"{layer}.mlp.gate_proj"].T
        y = gate / (1 + np.exp(-gate)) * (y @ weights[f"{layer}.mlp.up_proj"].T)
        x = x + y @ weights[f"{layer}.mlp.down_proj"].T
    return norm(x, "model.norm") @ weights["lm_head"].T


def bytewise_tokenizer() -> TextTokenizer:
    """Return a tokenizer of a token for each byte, and 256 for an end of the text."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    numbers = {character: number for number, character in enumerate(alphabet)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=numbers, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    return TextTokenizer(tokenizer)
