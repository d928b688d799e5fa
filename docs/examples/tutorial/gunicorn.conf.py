"""gunicorn reads this file in the folder where it starts."""

wsgi_app = "app:create_app()"
bind = "127.0.0.1:8000"
workers = 2
# A thread that waits for Entra or an API keeps no other page waiting.
worker_class = "gthread"
threads = 4
