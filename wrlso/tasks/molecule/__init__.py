"""Molecules (the paper's third task): model file, base data, the task itself."""
