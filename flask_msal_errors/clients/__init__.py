"""The user's access tokens, and adapters for HTTP clients."""
