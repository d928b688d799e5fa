"""What is kept of one signed-in session, beside the Flask session."""
