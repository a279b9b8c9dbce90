"""The table follows the store: stream configs, inventory, changes, deliveries."""
