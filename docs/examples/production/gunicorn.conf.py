"""gunicorn reads this file if it is in the folder where it starts."""

wsgi_app = "production_app:create_app()"
bind = "127.0.0.1:8000"
workers = 4
# A thread that waits for Entra or an API keeps no other page waiting.
worker_class = "gthread"
threads = 8
# Longer than a page may wait for Entra and an API (seconds).
timeout = 60
# For pages that are on their way when a new version takes over (seconds).
graceful_timeout = 30
