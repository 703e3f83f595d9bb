"""Program fetch, issue, loops and semaphores."""
