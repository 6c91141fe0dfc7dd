"""The command line: ``wrlso run | resume | report | tasks | methods | data | train``."""
