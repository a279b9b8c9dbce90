"""A store in shards: its listing, receipts of what is done with each shard, and which instances lie there twice."""
