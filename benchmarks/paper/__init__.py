"""The paper's tables and figures: every method on every task, from one command."""
