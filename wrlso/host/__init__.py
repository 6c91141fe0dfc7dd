"""The machine: files, processes, the cache. Knows nothing of models or algorithms."""
