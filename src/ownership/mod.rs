//! Pure: what chown destroys, and how it reads on the other side of a map.
