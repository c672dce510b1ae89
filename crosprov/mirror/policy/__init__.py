"""The policy of the archive mirrors: rules as data, and what finds each breach of them."""
