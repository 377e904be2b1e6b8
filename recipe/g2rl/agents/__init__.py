"""What writes responses: verl's agent loops, in verl's agent-loop workers."""
