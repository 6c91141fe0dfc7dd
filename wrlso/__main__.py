"""``python -m wrlso`` is the command ``wrlso``."""

import sys

from wrlso.cli import main

sys.exit(main())
