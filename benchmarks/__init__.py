"""Figures of the paper and of the library, each from one command; results beside them."""
