"""What the error values of Microsoft Entra mean."""
