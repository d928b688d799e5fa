"""The user's tokens, and HTTP clients that act for the user."""
