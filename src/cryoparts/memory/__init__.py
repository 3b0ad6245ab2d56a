"""Memory: what a process may use, what it has used, and what happens when it runs out."""
