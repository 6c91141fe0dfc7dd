"""The shapes protocol in PyTorch, as a peer to measure against.

It has the paper's architecture, weighted minibatches, the 50 x 50 grid decoded in batches of 1,000,
and ``np.unique`` to drop duplicates. It runs in one process on all cores, without logging, files or
validation, so the comparison favours PyTorch.
"""

import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# (channels in, channels out, kernel, stride)
_ENCODER = [
    (1, 4, 3, 1),
    (4, 8, 5, 2),
    (8, 8, 3, 1),
    (8, 16, 5, 2),
    (16, 16, 3, 1),
    (16, 16, 3, 1),
    (16, 16, 5, 2),
    (16, 16, 3, 1),
    (16, 16, 3, 1),
    (16, 16, 5, 2),
    (16, 16, 3, 1),
]
_DECODER = [
    (16, 32, 3, 1),
    (32, 32, 5, 2),
    (32, 32, 3, 1),
    (32, 16, 5, 2),
    (16, 16, 3, 1),
    (16, 16, 3, 1),
    (16, 16, 5, 2),
    (16, 8, 3, 1),
    (8, 8, 3, 1),
    (8, 8, 5, 2),
    (8, 1, 3, 1),
]


class TorchVAE(nn.Module):
    """The paper's convolutional VAE with two latent dimensions."""

    def __init__(self) -> None:
        super().__init__()
        encoder: list[nn.Module] = []
        for c_in, c_out, size, stride in _ENCODER:
            encoder += [nn.Conv2d(c_in, c_out, size, stride, size // 2), nn.ReLU()]
        encoder += [nn.Flatten(), nn.Linear(256, 32), nn.ReLU(), nn.Linear(32, 4)]
        decoder: list[nn.Module] = [
            nn.Linear(2, 32),
            nn.ReLU(),
            nn.Linear(32, 256),
            nn.ReLU(),
            nn.Unflatten(1, (16, 4, 4)),
        ]
        for c_in, c_out, size, stride in _DECODER:
            decoder += [
                nn.ConvTranspose2d(c_in, c_out, size, stride, size // 2, stride - 1),
                nn.ReLU(),
            ]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder[:-1])

    def loss(self, x: torch.Tensor, beta: float) -> torch.Tensor:
        mean, log_std = self.encoder(x).chunk(2, 1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * ((2 * log_std).exp() + mean**2 - 1 - 2 * log_std).sum()
        return (reconstruction + beta * kl) / len(x)


def train_steps(model: TorchVAE, images: np.ndarray, rows: np.ndarray, batch: int) -> list[float]:
    """Train with a fresh Adam on the given rows; returns the seconds of every step."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for i in range(0, len(rows), batch):
        start = time.perf_counter()
        x = torch.from_numpy(images[rows[i : i + batch]]).float()[:, None]
        optimizer.zero_grad()
        model.loss(x, 10.0).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return seconds


def rank_probabilities(scores: np.ndarray, k: float) -> np.ndarray:
    """Rank weights, Eq. 1 of the paper."""
    ordered = np.sort(scores)
    rank = len(scores) - np.searchsorted(ordered, scores, side="right")
    weights = 1 / (k * len(scores) + rank)
    return weights / weights.sum()


def run_seed(
    model: TorchVAE,
    images: np.ndarray,
    scores: np.ndarray,
    seed: int,
    k: float = 1e-3,
    r: int = 50,
    budget: int = 500,
) -> dict[str, float]:
    """Run one seed of the headline; returns seconds by phase."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    line = np.linspace(-3, 3, 50, dtype=np.float32)
    grid = torch.from_numpy(np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2))
    spent = {"retrain": 0.0, "ask": 0.0}
    for round in range(math.ceil(budget / r)):
        start = time.perf_counter()
        epochs = 1.0 if round == 0 else 0.1
        steps = math.ceil(epochs * len(images) / 32)
        rows = rng.choice(len(images), steps * 32, p=rank_probabilities(scores, k))
        train_steps(model, images, rows, 32)
        spent["retrain"] += time.perf_counter() - start
        start = time.perf_counter()
        with torch.no_grad():
            decoded = [(model.decoder(grid[i : i + 1000]) > 0).numpy() for i in (0, 1000, 2000)]
        unique = np.unique(np.concatenate(decoded)[:, 0].astype(np.uint8), axis=0)
        area = unique.sum((1, 2)).astype(np.float32)
        best = np.argsort(-area)[:r]
        images = np.concatenate([images, unique[best]])
        scores = np.concatenate([scores, area[best]])
        spent["ask"] += time.perf_counter() - start
    spent["best"] = float(scores.max())
    return spent
