"""The forms that ``MSAL_CLIENT_CREDENTIAL`` may have."""
