"""Checkpoints of glassllm: numpy arrays, and a BPE of characters with marks for spaces."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from .checkpoint_settings import CheckpointSettings
from .decoder_checkpoint import DecoderShape, TensorNames, assemble
from .errors import CheckpointError
from .language_model import LanguageModel
from .text_tokenizer import TextTokenizer

__all__ = ["read_glassllm"]

NAMES = TensorNames(
    embedding="E",
    norm="norm_f.gamma",
    head="head",
    attention_norm="blocks.{}.norm1.gamma",
    query="blocks.{}.attn.W_Q",
    key="blocks.{}.attn.W_K",
    value="blocks.{}.attn.W_V",
    output="blocks.{}.attn.W_O",
    hidden_norm="blocks.{}.norm2.gamma",
    gate="blocks.{}.ffn.W1",
    up="blocks.{}.ffn.W3",
    down="blocks.{}.ffn.W2",
    outputs_first=False,
    half_split=False,
)

CONFIG = "__config__"
"""The array that is no tensor, but a text of JSON."""

SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")
"""The first tokens; training used none of them."""

SPACE = "\u2581"


def read_glassllm(path: Path, name: str) -> LanguageModel:
    """Return the model in ``path``, an npz file, with its tokenizer beside it.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged; the message names the field or the tensor.
    """
    arrays = _arrays(path)
    if CONFIG not in arrays:
        raise CheckpointError(f"{path} has no array {CONFIG}")
    settings = CheckpointSettings.parse(CONFIG, str(arrays.pop(CONFIG)))
    shape = _shape(settings, arrays)
    words = CheckpointSettings.load(path.with_suffix(".tokenizer.json"))
    tokenizer = TextTokenizer(_tokenizer(words)).require_at_most(shape.vocabulary)
    return LanguageModel(
        name=name, decoder=assemble(arrays, NAMES, shape), tokenizer=tokenizer,
        begin=None, ends=(SPECIAL.index("<eos>"),),
    )  # fmt: skip


def _arrays(path: Path) -> dict[str, NDArray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no {path}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged, or no npz file ({error}); copy it again"
        ) from error


def _shape(settings: CheckpointSettings, arrays: dict[str, NDArray]) -> DecoderShape:
    features, heads = settings.count("d_model"), settings.count("n_heads")
    gate = arrays.get(NAMES.gate.format(0))
    if gate is None or gate.ndim != 2:
        raise CheckpointError(f"the checkpoint has no matrix {NAMES.gate.format(0)}")
    return DecoderShape(
        layers=settings.count("n_layers"),
        features=features,
        heads=heads,
        key_heads=settings.count("n_kv_heads"),
        head_features=max(1, features // heads),
        hidden=gate.shape[1],  # nothing else says it
        vocabulary=settings.count("vocab_size"),
        context=settings.count("max_len"),
        epsilon=settings.number("eps"),
        rotary_base=settings.number("rope_base"),
        own_head=False,
    )


def _tokenizer(settings: CheckpointSettings) -> Tokenizer:
    """Return the BPE: a newline, and a word with the spaces before it, are merged alone."""
    alphabet, pairs = settings.get("alphabet", []), settings.get("merges", [])
    try:
        merges: list[tuple[Any, Any]] = [(left, right) for left, right in pairs]
        tokens = [*SPECIAL, *alphabet, *(left + right for left, right in merges)]
        numbers = {token: number for number, token in enumerate(tokens)}
        tokenizer = Tokenizer(models.BPE(vocab=numbers, merges=merges, unk_token="<unk>"))
    except Exception as error:  # tokenizers raises nothing more special
        raise CheckpointError(f"the tokenizer cannot be read: {error}") from error
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(" ", SPACE)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(
        Regex(rf"\n|{SPACE}*[^{SPACE}\n]+|{SPACE}+"), behavior="isolated"
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.Fuse()])
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in SPECIAL]
    )
    return tokenizer
