"""A person in front of a browser: cookies, navigations, forms."""
