"""Server-side entries in the app's own Flask-Session backend."""
