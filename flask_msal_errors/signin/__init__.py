"""How a sign-in begins, is completed, and ends."""
