"""`python -m pagoda`: the command line where its program is not on the path."""

import sys

from pagoda.cli import main

sys.exit(main())
