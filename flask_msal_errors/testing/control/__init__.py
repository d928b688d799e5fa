"""Switches: declared once, flipped by method, by button or by JSON."""
