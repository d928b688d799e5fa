"""Cookies, redirect targets and kinds of requests."""
