//! Pure: which host id a container id stands for.
