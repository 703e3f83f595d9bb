"""Checkpoints of Llama's family as Hugging Face keeps them: a folder with safetensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from .checkpoint_settings import CheckpointSettings
from .decoder_checkpoint import DecoderShape, TensorNames, assemble
from .errors import CheckpointError
from .language_model import LanguageModel
from .text_tokenizer import TextTokenizer

__all__ = ["read_llama"]

NAMES = TensorNames(
    embedding="model.embed_tokens.weight",
    norm="model.norm.weight",
    head="lm_head.weight",
    attention_norm="model.layers.{}.input_layernorm.weight",
    query="model.layers.{}.self_attn.q_proj.weight",
    key="model.layers.{}.self_attn.k_proj.weight",
    value="model.layers.{}.self_attn.v_proj.weight",
    output="model.layers.{}.self_attn.o_proj.weight",
    hidden_norm="model.layers.{}.post_attention_layernorm.weight",
    gate="model.layers.{}.mlp.gate_proj.weight",
    up="model.layers.{}.mlp.up_proj.weight",
    down="model.layers.{}.mlp.down_proj.weight",
    outputs_first=True,
    half_split=True,
)

ONLY: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "partial_rotary_factor": 1.0,
    "sliding_window": None,
    "quantization_config": None,
    "qk_norm": False,
    "logit_scale": 1.0,
}
"""Fields of config.json that must have these values, if they are there."""

PLAIN_ROTARY = {"rope_type": "default", "type": "default"}
"""What may be said of rotary positions, beside their base."""

ROTARY_BASE = 10000.0
"""The family's, if config.json does not say."""

TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def read_llama(folder: Path, name: str) -> LanguageModel:
    """Return the model in a folder with config.json, model.safetensors and tokenizer.json.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or asks for what cannot be run; the message names the
        field and its value, or the tensor.
    """
    settings = CheckpointSettings.load(folder / "config.json")
    _require_llama(settings)
    shape = _shape(settings)
    decoder = assemble(_tensors(folder / "model.safetensors"), NAMES, shape)
    tokenizer = TextTokenizer.load(folder / "tokenizer.json", shape.vocabulary)
    begin = settings.tokens("bos_token_id", shape.vocabulary)
    return LanguageModel(
        name=name, decoder=decoder, tokenizer=tokenizer, begin=begin[0] if begin else None,
        ends=settings.tokens("eos_token_id", shape.vocabulary),
    )  # fmt: skip


def _require_llama(settings: CheckpointSettings) -> None:
    """Refuse what the hardware has no part for."""
    settings.only("model_type", "llama")
    for field, wanted in ONLY.items():
        settings.only(field, wanted, default=wanted)
    for field in ("rope_scaling", "rope_parameters"):
        part = settings.get(field, {})
        rest = part if not isinstance(part, dict) else {
            key: value for key, value in part.items()
            if key != "rope_theta" and PLAIN_ROTARY.get(key) != value
        }  # fmt: skip
        if rest:
            settings.only(field, None)


def _shape(settings: CheckpointSettings) -> DecoderShape:
    """Return what config.json says of the model's dimensions."""
    features, heads = settings.count("hidden_size"), settings.count("num_attention_heads")
    if settings.get("head_dim") is None and features % heads:
        raise CheckpointError(
            f"config.json: hidden_size is {features}, which must be a multiple of "
            f"num_attention_heads, {heads}, since there is no head_dim"
        )
    rotary = settings.get("rope_parameters", {})
    return DecoderShape(
        layers=settings.count("num_hidden_layers"),
        features=features,
        heads=heads,
        key_heads=settings.count("num_key_value_heads", heads),
        head_features=settings.count("head_dim", features // heads),
        hidden=settings.count("intermediate_size"),
        vocabulary=settings.count("vocab_size"),
        context=settings.count("max_position_embeddings"),
        epsilon=settings.number("rms_norm_eps"),
        rotary_base=settings.number("rope_theta", rotary.get("rope_theta", ROTARY_BASE)),
        own_head=not settings.get("tie_word_embeddings", False),
    )


def _tensors(path: Path) -> dict[str, NDArray]:
    """Return all tensors of a file of safetensors."""
    if not path.is_file():
        raise CheckpointError(
            f"there is no {path}; a checkpoint in several files, or of another kind, must be "
            "saved as one file of safetensors first"
        )
    try:
        items = deserialize(path.read_bytes())
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged, or no file of safetensors ({error}); copy it again"
        ) from error
    return {name: _array(name, item) for name, item in items}


def _array(name: str, item: Mapping[str, Any]) -> NDArray:
    kind, data, shape = item["dtype"], item["data"], item["shape"]
    if kind == "BF16":  # the upper half of a float32
        halves = np.frombuffer(data, "<u2").astype(np.uint32) << 16
        return halves.view(np.float32).reshape(shape)
    if kind not in TYPES:
        raise CheckpointError(
            f"the checkpoint's tensor {name} has numbers of type {kind}, but must have BF16 or "
            f"{' or '.join(TYPES)}"
        )
    return np.frombuffer(data, TYPES[kind]).reshape(shape)
