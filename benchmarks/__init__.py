"""What Nezha's speed is, beside what it replaces: README.md says how it is measured and holds the results."""
