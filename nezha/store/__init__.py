"""Where bodies and what is known of them are kept: extent files, an index, memory, and their limits."""
