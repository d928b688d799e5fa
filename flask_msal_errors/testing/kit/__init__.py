"""Tools for tests and servers: test clients, the requests log, TLS."""
