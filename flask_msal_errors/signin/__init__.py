"""Beginning, completing and ending a sign-in."""
