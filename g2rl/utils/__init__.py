"""Files that appear whole or not at all, and tables in Markdown: used by every other package."""
