"""Discriminators, their losses and their optimizer."""
