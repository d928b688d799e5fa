"""Values and pure functions for what the protocols say."""
