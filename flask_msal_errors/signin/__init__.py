"""How a sign-in begins, is completed, and ends; the browser's cookies and targets."""
