"""Checks that many tests share: what every layer, model or loss owes is written once."""
