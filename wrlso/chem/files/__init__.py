"""Files of molecules as people have them: lines, tables, SDF, Parquet.

Each reader turns a file into records, and accounts for every line.
"""
