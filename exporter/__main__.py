"""``python -m exporter`` is ``dli-exporter``."""

import signal
import sys


def main() -> None:
    """Run the command line, and obey SIGTERM from the first moment on.

    The imports take half a second, and process 1 of a container does not even die of a signal
    that it does not handle.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    from .cli import main as run  # here: what takes long comes last

    run()


if __name__ == "__main__":
    main()
