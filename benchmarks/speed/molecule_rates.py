"""Molecules decoded and encoded per second, against PyTorch, and a retraining.

    python -m benchmarks.speed.molecule_rates [--only NAME ...]

The model is that of the package. 3,000 draws of its prior are decoded, as in an ask of ten queries,
and their decodes encoded. PyTorch has the same parameters, slices and lengths. It is spared the
grammar: it decodes each slice of 250 without a mask, for as many steps as the longest molecule of
the slice takes here, and encodes with the parents of symbols given. Without the package torch, only
our own rates are measured. Writes benchmarks/results/molecule_rates.md and .csv. Ratios carry over,
times do not.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.speed.harness import Row, alternating, main, median_seconds

DRAWS, SLICE, STEPS = 3000, 250, 30


def _model() -> tuple[Any, Any, Any]:
    """The model, the VAE, and latents of the prior."""
    import jax

    from wrlso.tasks.molecule.model import load_model
    from wrlso.tasks.molecule.task import SHIPPED

    model = load_model(SHIPPED)
    latents = jax.random.normal(jax.random.key(0), (DRAWS, model.sizes.latent_dim))
    return model, model.vae(), latents


def _ours() -> tuple[Callable[[], Any], Callable[[], Any], Any, Any, Any]:
    """Functions that decode and encode, the model, the latents and their decodes."""
    import jax

    from wrlso.models.vae import decode_all, encode_all

    model, vae, latents = _model()
    decode = jax.jit(lambda params, z: decode_all(vae, params, z))
    encode = jax.jit(lambda params, rows: encode_all(vae, params, rows))
    rows = decode(model.params, latents)
    return (
        lambda: decode(model.params, latents).block_until_ready(),
        lambda: encode(model.params, rows).block_until_ready(),
        model,
        latents,
        rows,
    )


def _tensors(model: Any) -> Any:
    import jax
    import torch

    return jax.tree.map(lambda a: torch.from_numpy(np.array(a, np.float32)), model.params)


def torch_decoder(model: Any, latents: Any, steps: list[int]) -> Callable[[], Any]:
    """Decode in PyTorch without the grammar; the next symbol is the likeliest of all."""
    import torch
    from torch.nn import functional as F

    params = _tensors(model)
    decoder, gru = params["decoder"], params["decoder"]["gru"]
    z = torch.from_numpy(np.array(latents))
    recurrent, bias = gru["recurrent"].T.contiguous(), gru["recurrent_bias"]
    by_symbol = params["symbols"] @ gru["input"][: params["symbols"].shape[1]]
    narrow, logits = decoder["narrow"], decoder["logits"]

    def decode_slice(z: Any, steps: int) -> Any:
        hidden = torch.tanh(z @ decoder["start"]["kernel"] + decoder["start"]["bias"])
        gates = z @ decoder["gates"]["kernel"] + decoder["gates"]["bias"] + gru["bias"]
        before = torch.zeros(len(z), dtype=torch.long)
        found = []
        for _ in range(steps):
            xr, xu, xn = (by_symbol[before] + gates).chunk(3, 1)
            hr, hu, hn = F.linear(hidden, recurrent, bias).chunk(3, 1)
            new = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
            update = torch.sigmoid(xu + hu)
            hidden = (1 - update) * new + update * hidden
            thin = hidden @ narrow["kernel"] + narrow["bias"]
            before = (thin @ logits["kernel"] + logits["bias"]).argmax(1)
            found.append(before)
        return torch.stack(found)

    def decode() -> Any:
        with torch.inference_mode():
            return [decode_slice(*part) for part in zip(z.split(SLICE), steps, strict=True)]

    return decode


def torch_encoder(model: Any, rows: Any) -> Callable[[], Any]:
    """Encode in PyTorch, in slices of like length; the means in the order of length."""
    import jax.numpy as jnp
    import torch

    from wrlso.tasks.molecule.vae import walk

    params = _tensors(model)
    encoder, sizes = params["encoder"], model.sizes
    reader = torch.nn.GRU(2 * sizes.embedding, sizes.encoder_units, bidirectional=True)
    with torch.no_grad():
        for suffix, name in (("", "forward"), ("_reverse", "backward")):
            own = encoder[name]
            for target, source in (
                ("weight_ih", own["input"].T),
                ("weight_hh", own["recurrent"].T),
                ("bias_ih", own["bias"]),
                ("bias_hh", own["recurrent_bias"]),
            ):
                getattr(reader, f"{target}_l0{suffix}").copy_(source)
    rows = np.asarray(rows).astype(np.int64)
    lengths = (rows != 0).sum(1)
    order = np.argsort(lengths, kind="stable")
    parents = np.asarray(walk(model.machine, jnp.asarray(rows.T, jnp.int32)).parent).T
    parts = []
    for part in np.array_split(order, -(-len(order) // SLICE)):
        n = lengths[part]
        parts.append(
            tuple(
                torch.from_numpy(np.ascontiguousarray(a))
                for a in (rows[part, : n.max()].T, parents[part, : n.max()].T.astype(np.int64), n)
            )
        )

    def encode_slice(own: Any, parent: Any, n: Any) -> Any:
        x = torch.cat([params["symbols"][own], params["symbols"][parent]], -1)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, n, enforce_sorted=False)
        states, final = reader(packed)
        both, _ = torch.nn.utils.rnn.pad_packed_sequence(states)
        both = torch.relu(both @ encoder["pooled"]["kernel"] + encoder["pooled"]["bias"])
        used = (torch.arange(len(both))[:, None] < n[None])[..., None]
        pooled = (both * used).sum(0) / n.clamp(min=1).sqrt()[:, None]
        out = torch.cat([final[0], final[1], pooled], 1) @ encoder["out"]["kernel"]
        return (out + encoder["out"]["bias"])[:, : sizes.latent_dim]

    def encode() -> Any:
        with torch.inference_mode():
            return torch.cat([encode_slice(*part) for part in parts])

    return encode


def _has_torch() -> bool:
    try:
        import torch  # noqa: F401
    except ImportError:
        return False
    return True


def section_decode() -> list[Row]:
    """Decoding, against PyTorch."""
    decode, _, model, latents, rows = _ours()
    target = "≥ 3,000 per second on two cores"
    if not _has_torch():
        return [_rate("decoding", median_seconds(decode), target)]
    steps = (np.asarray(rows) != 0).sum(1).reshape(-1, SLICE).max(1).tolist()
    theirs = torch_decoder(model, latents, steps)
    ours, peer = alternating(decode, theirs)
    return [
        _rate("decoding", ours, target),
        _against("decoding", ours, peer, f"{sum(steps)} steps"),
    ]


def section_encode() -> list[Row]:
    """Encoding, against PyTorch, which finds the same means."""
    _, encode, model, _, rows = _ours()
    target = "≥ 3,000 per second on two cores"
    if not _has_torch():
        return [_rate("encoding", median_seconds(encode), target)]
    theirs = torch_encoder(model, rows)
    order = np.argsort((np.asarray(rows) != 0).sum(1), kind="stable")
    error = float(np.abs(np.asarray(encode())[order] - theirs().numpy()).max())
    if error > 1e-3:
        raise AssertionError(f"PyTorch encodes otherwise: means differ by {error:.1e}")
    ours, peer = alternating(encode, theirs)
    how = f"the same means to {error:.0e}"
    return [_rate("encoding", ours, target), _against("encoding", ours, peer, how)]


def section_retraining() -> list[Row]:
    """A later retraining of the task."""
    import jax
    import jax.numpy as jnp

    import wrlso
    from wrlso import loop

    rows = []
    for half in (False, True):
        task = wrlso.tasks.molecules(half_products=half)
        algorithm = wrlso.algorithm(task, wrlso.methods.weighted_retraining())
        base = wrlso.base_data(task)
        state = loop.init(algorithm, task.params, base.dataset)
        retrain = jax.jit(
            lambda state, base, algorithm=algorithm: loop.retrain(
                algorithm, jax.random.key(0), state, base, jnp.int32(STEPS)
            )
        )
        start = time.perf_counter()
        jax.block_until_ready(retrain(state, base))
        first = time.perf_counter() - start
        call = lambda retrain=retrain, state=state, base=base: jax.block_until_ready(  # noqa: E731
            retrain(state, base)
        )
        seconds = median_seconds(call, 3)
        kind = "bfloat16" if half else "float32"
        how = f"{STEPS} steps of 128 samples of the prior; compiled in {first - seconds:.0f} s"
        rows.append((f"a retraining, products in {kind}", f"{seconds:.1f} s", "≤ 15 s", how))
    return rows


def _rate(what: str, seconds: float, target: str) -> Row:
    how = f"{DRAWS:,} draws of the prior in {seconds:.2f} s"
    return (f"{what}, molecules per second", f"{DRAWS / seconds:,.0f}", target, how)


def _against(what: str, ours: float, theirs: float, how: str) -> Row:
    found = f"{ours:.2f} against {theirs:.2f} s; {how}"
    return (f"{what}, time against PyTorch's", f"{ours / theirs:.2f} x", "≤ 1 x", found)


if __name__ == "__main__":
    main(
        "benchmarks.speed.molecule_rates",
        "molecule_rates",
        "Rates of the model of molecules",
        __doc__,
        {"decode": section_decode, "encode": section_encode, "retraining": section_retraining},
    )
