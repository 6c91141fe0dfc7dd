"""The card of the shipped model of molecules: its description and the measured figures."""

import json
from typing import Any

import jax

from benchmarks.paper.options import RESULTS


def write_card(model: Any) -> None:
    """Write the card beside the weights, with the figures of molecule_model.md."""
    from wrlso.tasks.molecule.task import SHIPPED

    card = {name: json.loads(text) for name, text in model.card.items()}
    measured = (RESULTS / "molecule_model.md").read_text().split("\n\n", 1)[1]
    parameters = sum(leaf.size for leaf in jax.tree.leaves(model.params))
    size = SHIPPED.stat().st_size / 1e6
    SHIPPED.with_suffix(".md").write_text(
        f"# Model card: molecules\n\nA variational autoencoder of molecules: recurrent encoder "
        f"({model.sizes['encoder_units']} units in each direction) and decoder "
        f"({model.sizes['decoder_units']} units, with feedback), {model.sizes['latent_dim']} "
        f"latent dimensions, {parameters:,} parameters, stored in half precision ({size:.1f} MB). "
        f"It reads and writes {len(model.fragments) - 1} symbols: SELFIES tokens and frequent "
        "strings of them, so that every string is a molecule. The latent space is standardised: "
        "encodings of the training data have mean 0 and variance 1 in every dimension.\n\n"
        f"It was trained by `wrlso train molecules` on {card['molecules']:,} molecules "
        f"({card['data']}, digest {card['digest']}), of which {card['held_out']:,} were held out, "
        f"in {card['seconds'] / 3600:.1f} hours on two CPU cores. Settings: "
        + ", ".join(f"{name} {value:g}" for name, value in card["config"].items())
        + ".\n\nIt knows the kinds of atoms, charges and bonds of its training data: drug-like "
        "molecules with a maximum of 38 heavy atoms, without configuration of stereo centres. "
        "Samples of its prior are possible molecules, but not all of them are stable or can be "
        f"made.\n\nMeasured: {measured}"
    )
