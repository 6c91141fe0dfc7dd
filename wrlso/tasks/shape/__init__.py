"""2D shapes (the paper's first task): data, models, the task."""
