"""Columns: their types, names, order and rules; reads no bytes."""
