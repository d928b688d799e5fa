"""One signed-in session: tokens and MSAL's caches, kept beside the Flask session."""
