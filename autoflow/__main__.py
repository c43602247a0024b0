"""`python -m autoflow`."""

import sys

from autoflow.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
