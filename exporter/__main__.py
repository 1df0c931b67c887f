"""``python -m exporter`` is ``dli-exporter``."""

import gc
import signal
import sys


def main() -> None:
    """Run the command line, and obey SIGTERM from the first moment on.

    The imports take half a second, and process 1 of a container does not even die of a signal
    that it does not handle.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    gc.set_threshold(10_000)  # to look for garbage during the imports took 70 ms more
    from .cli import main as run  # here: what takes long comes last

    gc.freeze()  # what is imported stays: nobody needs to look at it again
    run()


if __name__ == "__main__":
    main()
