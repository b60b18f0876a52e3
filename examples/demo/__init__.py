"""The demo videos as data and drawings: one module per video, drawn by `canvas`, spoken by `narration`."""
