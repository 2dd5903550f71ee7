"""`python -m langpose_rt` is `langpose-rt`."""

import sys

from langpose_rt.cli.main import main

sys.exit(main())
