"""Files: atomic writes, arrays without pickle, digests, the cache folder."""
