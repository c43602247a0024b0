"""A workflow taken elsewhere: a folder that a LangGraph server runs."""
