"""Metadata to a table: request, plan, listing, shards, duplicates, load."""
