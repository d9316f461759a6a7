"""`python -m lsgen.cli`."""

import sys

from lsgen.cli.entry import main

sys.exit(main())
