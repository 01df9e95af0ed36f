//! Models for loom.
