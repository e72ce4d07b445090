"""Holdfast: the production runtime for Pydantic AI agents."""
