"""Speed, memory, start-up and complexity of codecs and commands."""
