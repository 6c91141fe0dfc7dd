"""``python -m wrlso`` is the command ``wrlso``."""

import sys

from wrlso.cli.main import main

sys.exit(main())
