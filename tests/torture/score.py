"""A program that scores a molecule: the number of letters of its SMILES. It notes each call."""

import os
import sys
import time

file = os.open(os.environ["WRLSO_TORTURE_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(file, sys.argv[1].encode() + b"\n")
time.sleep(0.02)
if sys.argv[1].count("O") > 2:
    sys.exit("too sour")
print(len(sys.argv[1]))
