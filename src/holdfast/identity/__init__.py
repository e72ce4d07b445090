"""Credentials, as far as they can be judged without a database."""
