"""How the gradients of a policy's responses lie to each other: cosines, tables, pictures (arXiv 2512.15687, §3.5)."""
