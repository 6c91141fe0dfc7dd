"""Files of this machine: atomic writes, arrays without pickle, the cache folder."""
