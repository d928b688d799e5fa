"""Decorators, routes, links, forms and pages."""
