"""The interfaces at the edges and the small types they speak of. Nothing here does anything."""
