"""``python -m compare``."""

import sys

try:
    from compare.cli import main

    main(prog_name="python -m compare")
except KeyboardInterrupt:  # before any command could say so
    sys.exit(130)
