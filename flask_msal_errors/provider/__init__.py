"""The identity provider: discovery, keys, credentials and MSAL's application."""
