"""Jobs in a terminal: ``watch`` shows how they get on, ``wait`` ends with their fate."""
