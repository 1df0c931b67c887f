"""Where credentials come from: one module for each kind of source.

Those that need no more than a file are here; whoever uses another one imports it from its own
module, so that nobody else pays for it.
"""

from .files import LARGEST_FILE, FileProvider, read_directory, read_token
from .provider import Provider
from .static import Static

__all__ = [
    "LARGEST_FILE",
    "FileProvider",
    "Provider",
    "Static",
    "read_directory",
    "read_token",
]
