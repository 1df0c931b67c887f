"""``python -m exporter`` is ``dli-exporter``."""

import gc
import os
import signal
import sys


def main() -> None:
    """Run the command line, and obey SIGTERM from the first moment on.

    The imports take half a second, and process 1 of a container does not even die of a signal
    that it does not handle.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Garbage is looked for seldom, and during the imports among what is new alone: 80 ms less.
    gc.set_threshold(10_000, 1_000)
    # No plugin of pydantic's has to see the settings with all their secrets, nor to be looked for.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    from .cli import main as run  # here: what takes long comes last

    gc.freeze()  # what is imported stays: nobody needs to look at it again
    gc.set_threshold(10_000, 10)
    run()


if __name__ == "__main__":
    main()
