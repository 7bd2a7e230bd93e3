"""One folder a vendor; they share `collectors.transport` and nothing else. The agent finds each by its `PLUGIN`."""
