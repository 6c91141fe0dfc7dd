"""Generative models: the VAE record, its training and sampling, and parts to build one of."""
