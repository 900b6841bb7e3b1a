"""Tables, charts, pictures and pages of scores."""
