"""Molecules as strings whose symbols are whole ring systems and groups of atoms.

``graph`` reads a molecule, ``pieces`` cuts it into ring systems and atoms with their terminal
groups, ``templates`` names the pieces, ``nodes`` joins them, ``tree`` puts them in canonical order,
``ears`` writes a ring system that has no template, ``vocabulary`` gives symbols their numbers,
``text`` writes the molecule of a string. Nothing here imports JAX.
"""
