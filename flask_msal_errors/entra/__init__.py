"""The error codes of Microsoft Entra, and their meaning."""
