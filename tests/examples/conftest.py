"""The examples are files of the checkout, not part of the installed library."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2]))
