"""Strangers who mean harm: each case is data, says what must happen, and is run against the real command."""
