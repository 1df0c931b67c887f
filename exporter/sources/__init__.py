"""Where jobs come from: each source says which jobs somebody wants watched."""
