"""The parts of the `openai` engine: options, wire format, servers, retries, budget."""
