"""What is known of the devserver of a ChromiumOS checkout: its options, and what it needs."""
