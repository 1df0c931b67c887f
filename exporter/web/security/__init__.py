"""exporter-toolkit's web-config file: TLS, users, headers and a rate limit for the web server."""
