"""`python -m maisale COMMAND ...`"""

import sys

from maisale.cli import main

sys.exit(main(sys.argv[1:]))
