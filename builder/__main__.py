"""`python -m builder` is `pybuild`."""

import sys

# `-m` puts the current directory in front of all that Python looks modules up in, its own library too. That is a
# context, and somebody else may have written it: its click.py is not to be our click. Where we are in it, it is ours.
if not sys.flags.safe_path and not __file__.startswith(sys.path[0] + "/builder/"):
    del sys.path[0]

from builder.cli import main

if __name__ == "__main__":
    main()
