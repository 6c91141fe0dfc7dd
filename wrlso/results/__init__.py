"""Finished runs read back: summaries, tables, figures, exports."""
