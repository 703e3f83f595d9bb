"""A vision transformer on scikit-learn's digits: trained here in PyTorch, run on the hardware.

    python examples/digits.py [--device rtl|machine]

Needs ``pip install 'systolith[examples]'``. The encoder's layers run on the core; the embedding of
patches, the mean and the last matrix on the host.
"""

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import systolith

FEATURES, HEADS, HIDDEN, LAYERS = 32, 2, 64, 2
PATCH = 2  # pixels on a side: an image of 8 x 8 becomes 16 tokens


class VisionTransformer(nn.Module):
    """Patches, learned positions, encoder layers, and a matrix behind the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(PATCH * PATCH, FEATURES)
        self.positions = nn.Parameter(torch.randn(16, FEATURES) / 10)
        layer = nn.TransformerEncoderLayer(
            FEATURES, HEADS, HIDDEN, dropout=0.1, batch_first=True, activation="gelu"
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS)
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 10) of patches (B, 16, 4)."""
        states = self.encoder(self.embedding(patches) + self.positions)
        return self.head(states.mean(1))


def load() -> list[torch.Tensor]:
    """Return patches and numbers to learn from, and others to be tested with."""
    images, numbers = load_digits(return_X_y=True)
    side = 8 // PATCH
    patches = images.reshape(-1, side, PATCH, side, PATCH).swapaxes(2, 3)
    patches = patches.reshape(-1, side * side, PATCH * PATCH) / 16
    parts = train_test_split(patches, numbers, test_size=0.2, random_state=0)
    kinds = torch.float32, torch.float32, torch.int64, torch.int64
    return [torch.tensor(part, dtype=kind) for part, kind in zip(parts, kinds, strict=True)]


def train(model: nn.Module, patches: torch.Tensor, numbers: torch.Tensor, epochs: int) -> None:
    """Minimise the cross-entropy."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(patches)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(patches[batch]), numbers[batch]).backward()
            optimizer.step()
        schedule.step()
    model.eval()


def main(device: str = "rtl", epochs: int = 40, images: int = 100) -> tuple[float, float]:
    """Train, compile, run; return the shares of right answers in float and on the device."""
    torch.manual_seed(0)
    patches, tests, numbers, answers = load()
    model = VisionTransformer()
    train(model, patches, numbers, epochs)
    with torch.no_grad():
        hits = (model(tests).argmax(1) == answers).float()
    print(f"PyTorch: {hits.mean():.1%} of {len(tests)} images that were kept apart")
    right = float(hits[:images].mean())

    program = systolith.compile(model, patches[:4], config="ulx3s", calibration=[patches[:32]])
    engine = systolith.InferenceEngine(program, device=device)
    logits = np.asarray(engine(tests[:images]))
    found = float((logits.argmax(1) == answers[:images].numpy()).mean())
    print(engine.report())
    print(f"the first {images} images: PyTorch {right:.1%}, {device} {found:.1%}")
    return right, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A vision transformer on the generated hardware.")
    parser.add_argument("--device", default="rtl", choices=["rtl", "machine"])
    main(parser.parse_args().device)
