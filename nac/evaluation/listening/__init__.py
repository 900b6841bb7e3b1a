"""Listening tests in a browser: the page, and the scores of what it exports."""
