"""The identity provider: discovery, keys, credentials, MSAL."""
