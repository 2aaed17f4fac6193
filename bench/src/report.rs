//! The tables of a run: on the terminal, and in `docs/performance.md`.
