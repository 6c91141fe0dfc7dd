"""Figures of one accelerator, by one prepared script."""
