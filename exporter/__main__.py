"""``python -m exporter`` is ``dli-exporter``."""

from .cli import main

if __name__ == "__main__":
    main()
