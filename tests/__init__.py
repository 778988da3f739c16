"""Mirrors kgen/; a package by name, for others install one called tests too."""
