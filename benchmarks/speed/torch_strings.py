"""The model of strings in PyTorch with the parameters of ours, as a peer to measure against.

It is written in PyTorch's own style: inference mode, the two directions of the encoder in one loop
of matrix products, padding up to the longest string of the batch, and decoding until all strings
have ended.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear


class TorchStrings:
    """``encode`` and ``decode`` of ``wrlso.models.sequence_vae.make_vae``."""

    def __init__(self, params: Mapping[str, Any], sizes: np.ndarray) -> None:
        self.encoder, self.decoder = _tensors(params["encoder"]), _tensors(params["decoder"])
        self.sizes = torch.tensor(sizes)

    @torch.inference_mode()
    def encode(self, objects: torch.Tensor) -> torch.Tensor:
        """Means ``[B, d]`` of rows ``[B, L]`` of symbols; a 0 ends a row shorter than L."""
        n = (objects != 0).sum(1)
        rows = objects[:, : int(n.max())].long()
        steps = torch.arange(rows.shape[1])
        turn = (n[:, None] - 1 - steps).clamp(min=0)
        ahead = _read(self.encoder["forward"], rows)
        back = _read(self.encoder["backward"], rows.gather(1, turn))
        last = (n - 1).clamp(min=0)[:, None, None].expand(-1, 1, ahead.shape[2])
        final = [states.gather(1, last)[:, 0] for states in (ahead, back)]
        turned = back.gather(1, turn[..., None].expand(-1, -1, back.shape[2]))
        used = (steps < n[:, None])[..., None]
        both = torch.cat([ahead, turned * used], 2)
        pooled = (torch.relu(_dense(self.encoder["pooled"], both)) * used).sum(1)
        pooled = pooled / n.clamp(min=1)[:, None].sqrt()
        out = _dense(self.encoder["out"], torch.cat([*final, pooled], 1))
        return out[:, : out.shape[1] // 2]

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor, length: int) -> torch.Tensor:
        """The most likely symbols ``[B, length]``; maximum number of tokens ``length``."""
        gru, batch = self.decoder["gru"], len(latents)
        state = torch.tanh(_dense(self.decoder["start"], latents))
        gates = _dense(self.decoder["gates"], latents)
        symbol = torch.zeros(batch, dtype=torch.long)
        remaining = torch.full((batch,), length)
        out = torch.zeros((batch, length), dtype=torch.uint8)
        for place in range(length):
            state = _advance(gru, state, gru["input"][symbol] + gates)
            logits = _dense(self.decoder["logits"], state)
            if place == 0:
                logits[:, 0] = -torch.inf
            symbol = logits.argmax(1)
            remaining = remaining - self.sizes[symbol]
            symbol = torch.where(remaining < 0, 0, symbol)
            remaining = torch.where(symbol == 0, -1, remaining)
            out[:, place] = symbol
            if (remaining < 0).all():
                break
        return out


def _tensors(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _tensors(leaf) if isinstance(leaf, Mapping) else torch.tensor(np.asarray(leaf))
        for name, leaf in tree.items()
    }


def _dense(layer: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return linear(x, layer["kernel"].T, layer["bias"])


def _read(gru: Mapping[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """All states ``[B, T, H]``."""
    state = torch.zeros((len(rows), gru["recurrent"].shape[0]))
    states = []
    for t in range(rows.shape[1]):
        state = _advance(gru, state, gru["input"][rows[:, t]] + gru["bias"])
        states.append(state)
    return torch.stack(states, 1)


def _advance(
    gru: Mapping[str, torch.Tensor], state: torch.Tensor, projected: torch.Tensor
) -> torch.Tensor:
    x_reset, x_update, x_new = projected.chunk(3, 1)
    h_reset, h_update, h_new = linear(state, gru["recurrent"].T, gru["recurrent_bias"]).chunk(3, 1)
    reset, update = torch.sigmoid(x_reset + h_reset), torch.sigmoid(x_update + h_update)
    new = torch.tanh(x_new + reset * h_new)
    return (1 - update) * new + update * state
