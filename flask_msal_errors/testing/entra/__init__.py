"""The tenant: its endpoints, pages, rules and tokens, and its APIs."""
