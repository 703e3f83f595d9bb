"""A text classifier: a Transformer encoder is trained here in PyTorch to know spam, and then runs
on the hardware.

    python examples/mail.py [--device rtl|machine]

Needs ``pip install 'systolith[examples]'``; the e-mails are SpamAssassin's public corpus. The
encoder's layers run on the core; embeddings, the mean and the last matrix on the host.
"""

import argparse
import collections
import re

import numpy as np
import torch
from torch import nn

import systolith
from systolith.evaluate.mail import mails

WORDS, LENGTH = 2000, 32
FEATURES, HEADS, HIDDEN, LAYERS = 32, 2, 64, 2
PADDING, UNKNOWN = 0, 1


class Classifier(nn.Module):
    """Embeddings of words and positions, encoder layers, and a matrix behind the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, FEATURES)
        self.positions = nn.Parameter(torch.randn(LENGTH, FEATURES) / 10)
        layer = nn.TransformerEncoderLayer(FEATURES, HEADS, HIDDEN, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = nn.Linear(FEATURES, 2)

    def forward(self, numbers: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 2) of word numbers (B, L), of which some are padding."""
        x = self.words(numbers) + self.positions
        x = self.encoder(x, src_key_padding_mask=padding)
        seen = (~padding).to(x.dtype).unsqueeze(-1)
        return self.head((x * seen).sum(1) / seen.sum(1))


def load() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first words of each e-mail as numbers (B, L), and whether it is spam."""
    texts, spam = mails()
    split = [re.findall(r"[a-z]+|[^a-z\s]", text.lower())[:LENGTH] for text in texts]
    counts = collections.Counter(word for words in split for word in words)
    known = {word: number + 2 for number, (word, _) in enumerate(counts.most_common(WORDS - 2))}
    numbers = np.full((len(split), LENGTH), PADDING)
    for row, words in zip(numbers, split, strict=True):
        row[: len(words)] = [known.get(word, UNKNOWN) for word in words]
    order = np.random.default_rng(0).permutation(len(split))
    return torch.tensor(numbers[order]), torch.tensor(np.array(spam)[order].astype(np.int64))


def train(model: nn.Module, numbers: torch.Tensor, spam: torch.Tensor, epochs: int) -> None:
    """Minimise the cross-entropy."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(numbers)).split(64):
            optimizer.zero_grad()
            logits = model(numbers[batch], numbers[batch] == PADDING)
            nn.functional.cross_entropy(logits, spam[batch]).backward()
            optimizer.step()
    model.eval()


def main(device: str = "rtl", epochs: int = 4, mail: int = 100) -> tuple[float, float]:
    """Train, compile, run; return the shares of right answers in float and on the device."""
    torch.manual_seed(0)
    numbers, spam = load()
    numbers, tests, spam, answers = numbers[1000:], numbers[:1000], spam[1000:], spam[:1000]
    model = Classifier()
    train(model, numbers, spam, epochs)
    with torch.no_grad():
        guesses = model(tests, tests == PADDING).argmax(1)
    print(f"PyTorch: {(guesses == answers).float().mean():.1%} of {len(tests)} e-mails that were "
          "kept apart")  # fmt: skip
    right = float((guesses == answers)[:mail].float().mean())

    example = tests[:4], tests[:4] == PADDING
    calibration = [(numbers[:16], numbers[:16] == PADDING)]
    program = systolith.compile(model, example, config="ulx3s", calibration=calibration)
    engine = systolith.InferenceEngine(program, device=device)
    logits = np.asarray(engine(tests[:mail], tests[:mail] == PADDING))
    found = float((logits.argmax(1) == answers[:mail].numpy()).mean())
    print(engine.report())
    print(f"the first {mail} e-mails: PyTorch {right:.1%}, {device} {found:.1%}")
    return right, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A spam filter on the generated hardware.")
    parser.add_argument("--device", default="rtl", choices=["rtl", "machine"])
    main(parser.parse_args().device)
