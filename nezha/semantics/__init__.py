"""HTTP's caching rules as pure functions: values and `now` in, a value out."""
