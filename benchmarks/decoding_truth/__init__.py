"""Every decoder against a plain decode of random files whose pictures say their own number.

``python -m benchmarks.decoding_truth`` writes random files (``encodes``, ``writing``, ``damaging``), reads each once
from front to back (``truth``), asks every decoder for frames of it in several ways and orders (``differences``), and
reduces a file that shows a fault to the simplest that still does (``shrinking``).
"""

import os

# SVT-AV1 tells its version to the terminal unless it is told before it is loaded.
os.environ.setdefault("SVT_LOG", "0")
