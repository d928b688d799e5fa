"""Entries on the server, in the app's own Flask-Session backend."""
