"""Begin, completion and end of a sign-in; the browser's cookies and targets."""
