"""Checkpoints of Llama's family in a GGUF file, with weights in any of its formats."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from .checkpoint_settings import CheckpointSettings
from .decoder_checkpoint import DecoderShape, TensorNames, assemble
from .errors import CheckpointError
from .language_model import LanguageModel
from .text_tokenizer import TextTokenizer

__all__ = ["read_gguf"]

NAMES = TensorNames(
    embedding="token_embd.weight",
    norm="output_norm.weight",
    head="output.weight",
    attention_norm="blk.{}.attn_norm.weight",
    query="blk.{}.attn_q.weight",
    key="blk.{}.attn_k.weight",
    value="blk.{}.attn_v.weight",
    output="blk.{}.attn_output.weight",
    hidden_norm="blk.{}.ffn_norm.weight",
    gate="blk.{}.ffn_gate.weight",
    up="blk.{}.ffn_up.weight",
    down="blk.{}.ffn_down.weight",
    outputs_first=True,
    half_split=False,  # rows of q and k were reordered when the file was written
)

CONTROL = 3
"""The type of special tokens."""


def read_gguf(path: Path, name: str) -> LanguageModel:
    """Return the model in a GGUF file; its weights become float32.

    Raises
    ------
    CheckpointError
        If the file is damaged, or asks for what cannot be run; the message names the field and its
        value, or the tensor.
    """
    fields, arrays = _read(path)
    settings = CheckpointSettings(path.name, fields)
    settings.only("general.architecture", "llama")
    settings.only("llama.expert_count", 0, default=0)
    settings.only("llama.rope.scaling.type", "none", default="none")
    shape = _shape(settings, own_head=NAMES.head in arrays)
    decoder = assemble(arrays, NAMES, shape)
    tokenizer = TextTokenizer(_tokenizer(settings, fields)).require_at_most(shape.vocabulary)
    begin = settings.tokens("tokenizer.ggml.bos_token_id", shape.vocabulary)
    return LanguageModel(
        name=name, decoder=decoder, tokenizer=tokenizer,
        begin=begin[0] if begin and settings.get("tokenizer.ggml.add_bos_token", True) else None,
        ends=settings.tokens("tokenizer.ggml.eos_token_id", shape.vocabulary),
    )  # fmt: skip


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Return all fields, and all tensors as float32."""
    import gguf  # here, since this one kind of file needs it

    try:
        reader = gguf.GGUFReader(path)
        fields = {field.name: field.contents() for field in reader.fields.values()}
        arrays = {
            tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            for tensor in reader.tensors
        }
    # The reader trusts offsets and lengths that it finds, so damage shows in many ways.
    except (ValueError, IndexError, KeyError, OverflowError, TypeError, MemoryError) as error:
        raise CheckpointError(
            f"{path} is damaged, or no GGUF file that can be read ({error}); copy it again"
        ) from error
    except NotImplementedError as error:
        raise CheckpointError(f"{path} has weights in a format that is unknown: {error}") from error
    return fields, arrays


def _shape(settings: CheckpointSettings, *, own_head: bool) -> DecoderShape:
    features = settings.count("llama.embedding_length")
    heads = settings.count("llama.attention.head_count")
    head_features = settings.count("llama.attention.key_length", features // heads)
    settings.only("llama.attention.value_length", head_features, default=head_features)
    settings.only("llama.rope.dimension_count", head_features, default=head_features)
    return DecoderShape(
        layers=settings.count("llama.block_count"),
        features=features,
        heads=heads,
        key_heads=settings.count("llama.attention.head_count_kv", heads),
        head_features=head_features,
        hidden=settings.count("llama.feed_forward_length"),
        vocabulary=settings.count("llama.vocab_size"),
        context=settings.count("llama.context_length"),
        epsilon=settings.number("llama.attention.layer_norm_rms_epsilon"),
        rotary_base=settings.number("llama.rope.freq_base", 10000.0),
        own_head=own_head,
    )


def _tokenizer(settings: CheckpointSettings, fields: dict[str, Any]) -> Tokenizer:
    """Return the file's byte-level BPE."""
    settings.only("tokenizer.ggml.model", "gpt2")
    settings.only("tokenizer.ggml.pre", "smollm", "gpt-2")
    pieces = {}
    for field in ("tokens", "merges", "token_type"):
        pieces[field] = settings.get(f"tokenizer.ggml.{field}")
        if not isinstance(pieces[field], list):
            raise CheckpointError(f"the tokenizer's list tokenizer.ggml.{field} is missing")
    numbers = {token: number for number, token in enumerate(pieces["tokens"])}
    merges = [tuple(merge.split(" ")) for merge in pieces["merges"]]
    try:
        tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges))
    except Exception as error:  # tokenizers raises nothing more special
        raise CheckpointError(f"the tokenizer in the file cannot be read: {error}") from error
    words: pre_tokenizers.PreTokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if settings.get("tokenizer.ggml.pre") == "smollm":
        words = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    tokenizer.pre_tokenizer = words
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([
        AddedToken(token, special=True, normalized=False)
        for token, kind in zip(pieces["tokens"], pieces["token_type"], strict=True)
        if kind == CONTROL
    ])  # fmt: skip
    return tokenizer
