"""Object stores played by the scripted origin: strict about what their public documents say, and about credentials."""
