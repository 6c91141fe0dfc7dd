"""The command ``wrlso``, also as ``python -m wrlso``."""

import sys


def main() -> int:
    """The entry point; returns the exit status. Ctrl-C while modules are loaded is told, too."""
    try:
        from wrlso.cli.main import main as run
    except KeyboardInterrupt:
        print("wrlso: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
